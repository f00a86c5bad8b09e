// Package console serves /console and the JSON API under /api/v1 that its pages show.
// An operator sees there what waits, what is late, what comes in the next hour, what
// died and why.
//
//	browser ──▶ pages, api ──▶ shared values ──▶ admin ──▶ brokers
//	                │           (one look for all     ▲
//	                └──▶ actions ──────── viewers) ───┘
//
// A page renders what its call of the API returns. All viewers share one look at the
// cluster, which is taken only while somebody looks. So any number of open consoles
// costs the brokers less than one `delayd admin status --watch`.
package console
