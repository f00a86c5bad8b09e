// Keeps a page up to date and draws the coming hour. Everything that it shows comes
// from the server as text; nothing is put together as HTML here.
"use strict";
(() => {
  const every = 4000; // as often as the server looks at the cluster
  const $ = (id) => document.getElementById(id);
  const two = (n) => String(n).padStart(2, "0");
  const count = (n) => n.toLocaleString("en-US");
  const short = (n) => n >= 1e6 ? (n / 1e6).toFixed(n < 1e7 ? 1 : 0) + " M" : n >= 1e4 ? Math.round(n / 1e3) + " k" : count(n);
  const clock = (d) => two(d.getHours()) + ":" + two(d.getMinutes());

  // Times are written in the zone of whoever reads them.
  function localTimes(root) {
    for (const t of root.querySelectorAll("time[datetime]")) {
      const d = new Date(t.dateTime);
      if (isNaN(d)) continue;
      const today = d.toDateString() === new Date().toDateString();
      const day = d.getFullYear() + "-" + two(d.getMonth() + 1) + "-" + two(d.getDate());
      t.title = t.dateTime;
      t.textContent = "minute" in t.dataset ? clock(d) : (today ? "" : day + " ") + clock(d) + ":" + two(d.getSeconds());
    }
  }

  // swap replaces the parts of this page by those of a newer one, and keeps what is open,
  // focused or scrolled.
  function swap(page) {
    const focused = document.activeElement;
    for (const part of page.querySelectorAll("[data-part]")) {
      const old = $(part.id);
      if (!old) continue;
      localTimes(part);
      for (const d of part.querySelectorAll("details[id]")) {
        const was = $(d.id);
        if (was) d.open = was.open;
      }
      if (old.isEqualNode(part)) continue;
      if (String(getSelection()) && getSelection().containsNode(old, true)) continue; // somebody copies
      const inside = old.contains(focused) && focused !== old;
      const at = inside ? [...old.querySelectorAll("a,button,summary,[tabindex]")].indexOf(focused) : -1;
      const left = old.scrollLeft;
      old.replaceChildren(...document.importNode(part, true).childNodes);
      old.className = part.className;
      old.scrollLeft = left;
      if (at >= 0) old.querySelectorAll("a,button,summary,[tabindex]")[at]?.focus({ preventScroll: true });
    }
    for (const id of ["problem"]) if ($(id) && !page.getElementById(id)) $(id).remove();
  }

  let seen = new Date();
  function offline(is) {
    const line = $("offline");
    line.hidden = !is;
    if (is) line.textContent = "This page cannot reach delayd. What you see is from " + clock(seen) + ":" + two(seen.getSeconds()) + ".";
    else seen = new Date();
  }

  async function get(url) {
    const answer = await fetch(url, { headers: { Accept: "text/html, application/json" }, cache: "no-store", signal: AbortSignal.timeout(15000) });
    if (answer.status === 404 || answer.status >= 500 && answer.status !== 503) throw new Error(answer.status);
    return answer;
  }

  async function refresh() {
    if (document.hidden) return;
    try {
      const answer = await get(location.href);
      swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
      if (chart) await chart.load();
      offline(false);
    } catch { offline(true); }
  }

  // The coming hour: stacked columns, one for each minute, and one colour for each level.
  const colours = 8;
  function newChart(box) {
    let plot, due, series = [], at = 0, drawn = "";
    const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const begins = (k) => new Date(new Date(due.from).getTime() + k * 60000);

    // group puts the levels with the fewest records together when there are more than
    // colours.
    function group() {
      const levels = due.levels.map((l) => ({ name: l.level, records: l.records, sum: l.records.reduce((a, b) => a + b, 0) }));
      if (levels.length <= colours) return levels;
      // The sort keeps the order of levels that have as many records: their colours stay.
      const most = [...levels].sort((a, b) => b.sum - a.sum).slice(0, colours - 1);
      const kept = levels.filter((l) => most.includes(l));
      const rest = levels.filter((l) => !kept.includes(l));
      return [...kept, { name: rest.length + " others", records: due.total.map((_, k) => rest.reduce((n, l) => n + l.records[k], 0)) }];
    }

    function say(k) {
      const n = due.total[k], parts = series.filter((s) => s.records[k]).map((s) => s.name + ": " + count(s.records[k]));
      let line = clock(begins(k)) + ": " + (n ? count(n) + " due" : "nothing due");
      if (n && due.peak.per_second >= 1000) {
        const s = n / due.peak.per_second;
        line += ", about " + (s < 1 ? Math.ceil(s * 1000) + " ms" : s < 60 ? s.toFixed(1) + " s" : Math.round(s / 60) + " min") + " to release at the highest rate seen here";
      }
      return line + (parts.length ? ". " + parts.join(", ") : "");
    }

    function choose(k) {
      if (!due.total.length) return;
      at = Math.max(0, Math.min(k, due.total.length - 1));
      box.setAttribute("aria-valuenow", at);
      box.setAttribute("aria-valuemax", due.total.length - 1);
      box.setAttribute("aria-valuetext", say(at));
      $("readout").textContent = say(at);
    }

    function draw() {
      const minutes = due.total.length, xs = [...Array(minutes).keys()];
      const sums = [], fills = [];
      let base = xs.map(() => 0);
      series.forEach((s, i) => { base = base.map((n, k) => n + s.records[k]); sums.push(base); fills.push(css("--c" + i)); });
      // The tallest first: the others are drawn over it.
      const bars = uPlot.paths.bars({ size: [0.8, 40], align: 1 });
      const muted = css("--muted"), line = css("--line"), bg = css("--bg"), font = "12px system-ui, sans-serif";
      const axis = { stroke: muted, font, grid: { stroke: line, width: 1 }, ticks: { show: false } };
      if (plot) plot.destroy();
      plot = new uPlot({
        width: box.clientWidth - 12, height: innerWidth < 600 ? 230 : 300, legend: { show: false }, padding: [8, 8, 0, 0],
        cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
        scales: { x: { time: false, range: [-0.2, minutes + 0.2] }, y: { range: (_, __, max) => [0, Math.max(max * 1.08, 4)] } },
        axes: [
          { ...axis, grid: { show: false }, size: 28, splits: () => xs.filter((k) => begins(k).getMinutes() % (innerWidth < 600 ? 15 : 5) === 0), values: (_, ks) => ks.map((k) => clock(begins(k))) },
          { ...axis, size: 56, values: (_, ns) => ns.map((n) => Number.isInteger(n) ? short(n) : "") },
        ],
        series: [{}, ...sums.map((_, i) => sums.length - 1 - i).map((i) => ({ paths: bars, fill: fills[i], stroke: bg, width: 1, points: { show: false } }))],
        hooks: { setCursor: [(u) => { if (u.cursor.left >= 0) choose(Math.floor(u.posToVal(u.cursor.left, "x"))); }] },
      }, [xs, ...[...sums].reverse()], box);
      const legend = $("legend");
      legend.replaceChildren(...series.map((s, i) => { const li = document.createElement("li"); li.className = "s" + i; li.textContent = s.name; return li; }));
      for (const e of [box, $("readout")]) e.hidden = false;
      legend.hidden = series.length === 0;
    }

    box.addEventListener("keydown", (e) => {
      const to = { ArrowRight: at + 1, ArrowUp: at + 1, ArrowLeft: at - 1, ArrowDown: at - 1, PageUp: at + 10, PageDown: at - 10, Home: 0, End: 59 }[e.key];
      if (to === undefined || !due) return;
      e.preventDefault();
      choose(to);
      if (plot) plot.setCursor({ left: plot.valToPos(at + 0.5, "x"), top: 10 });
    });
    const redraw = () => { if (due) { box.hidden = false; draw(); } };
    addEventListener("resize", redraw);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

    return {
      async load() {
        const answer = await get("../api/v1/due");
        if (!answer.ok) return;
        const text = await answer.text(), next = JSON.parse(text);
        const same = JSON.stringify([next.from, next.levels, next.counted]);
        const moved = due ? Math.round((new Date(next.from) - new Date(due.from)) / 60000) : 0;
        due = next;
        series = group();
        if (same !== drawn) { drawn = same; box.hidden = false; draw(); }
        choose(at - moved);
      },
    };
  }

  localTimes(document);
  const chart = $("chart") && window.uPlot ? newChart($("chart")) : null;
  if (chart) chart.load().catch(() => offline(true));
  if ("live" in document.body.dataset) {
    setInterval(refresh, every);
    document.addEventListener("visibilitychange", refresh);
  }
})();
