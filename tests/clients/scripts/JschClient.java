// Drives JSch: one verb on the command line, the door in the environment.

import com.jcraft.jsch.ChannelSftp;
import com.jcraft.jsch.JSch;
import com.jcraft.jsch.JSchException;
import com.jcraft.jsch.Session;
import com.jcraft.jsch.SftpProgressMonitor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

public class JschClient {
    static final int PATIENCE_MS = 20_000;

    // JSch never changes keys by itself: it is made to, after so many bytes.
    record Monitor(Session session, long rekeyBytes, long[] moved) implements SftpProgressMonitor {
        public void init(int op, String from, String to, long max) {}

        public boolean count(long bytes) {
            moved[0] += bytes;
            if (moved[0] >= rekeyBytes) {
                moved[0] = 0;
                System.err.println("exchange of keys");
                try {
                    session.rekey();
                } catch (Exception error) {
                    throw new IllegalStateException(error);
                }
            }
            return true;
        }

        public void end() {}
    }

    static Session connect() throws JSchException {
        JSch jsch = new JSch();
        jsch.setKnownHosts(System.getenv("DOOR_KNOWN_HOSTS"));
        jsch.addIdentity(System.getenv("DOOR_PEM_KEY"));
        int port = Integer.parseInt(System.getenv("DOOR_PORT"));
        Session session = jsch.getSession(System.getenv("DOOR_USER"), "127.0.0.1", port);
        session.setConfig("StrictHostKeyChecking", "yes");
        session.connect(PATIENCE_MS);
        return session;
    }

    // As it comes, it asks for much at a time; but when it changes keys then, its two threads wait
    // for each other, whatever the server. So it fetches once in haste, and once with other keys.
    static void get(ChannelSftp sftp, Monitor monitor, String remote, Path local)
            throws Exception {
        Path hasty = Path.of(local + ".hasty");
        sftp.get(remote, hasty.toString());
        sftp.setBulkRequests(1);
        sftp.get(remote, local.toString(), monitor, ChannelSftp.OVERWRITE);
        if (Files.mismatch(hasty, local) != -1) {
            throw new IOException("two downloads of one file differ");
        }
        Files.delete(hasty);
    }

    static void carryOut(ChannelSftp sftp, Monitor monitor, String[] a) throws Exception {
        switch (a[0]) {
            case "put" -> sftp.put(a[1], a[2], monitor, ChannelSftp.OVERWRITE);
            case "get" -> get(sftp, monitor, a[1], Path.of(a[2]));
            case "append" -> sftp.put(a[1], a[2], monitor, ChannelSftp.RESUME);
            case "rename" -> sftp.rename(a[1], a[2]);
            case "rm" -> sftp.rm(a[1]);
            case "ls" -> {
                for (Object entry : sftp.ls(a[1])) {
                    System.out.println(((ChannelSftp.LsEntry) entry).getFilename());
                }
            }
            default -> throw new IllegalArgumentException(a[0]);
        }
    }

    public static void main(String[] arguments) throws Exception {
        Session session = connect();
        try {
            ChannelSftp sftp = (ChannelSftp) session.openChannel("sftp");
            sftp.connect(PATIENCE_MS);
            long rekeyBytes = Long.parseLong(System.getenv("DOOR_REKEY_BYTES"));
            carryOut(sftp, new Monitor(session, rekeyBytes, new long[1]), arguments);
        } finally {
            session.disconnect();
        }
    }
}
