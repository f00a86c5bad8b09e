import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs many lines of Kafka's own tools in one process: a Java process for each of
 * them takes seconds. The file that is given has for each line the class of the
 * tool, the number of its arguments, and the arguments, a line each.
 */
public class Tools {
    public static void main(String[] args) throws Exception {
        // The tools end the process when they are done.
        Exit.setExitProcedure((code, message) -> {
            if (code != 0) throw new IllegalStateException("exit code " + code + ": " + message);
        });
        List<String> lines = Files.readAllLines(Path.of(args[0]));
        for (int at = 0; at < lines.size(); ) {
            String tool = lines.get(at);
            int n = Integer.parseInt(lines.get(at + 1));
            String[] words = lines.subList(at + 2, at + 2 + n).toArray(new String[0]);
            System.out.println(tool + " " + String.join(" ", words));
            Class.forName(tool).getMethod("main", String[].class).invoke(null, (Object) words);
            at += 2 + n;
        }
    }
}
