// Terminal: the words that run a command on a terminal of its own and do something there after each of some texts. For tests of what
// people type. Not the terminals that isconf makes.

/** After a text was seen: it is typed, the terminal gets another size [rows, columns], or it is taken away. */
export type Step = [seen: string, "type", string] | [seen: string, "size", [number, number]] | [
  seen: string,
  "gone",
];

const AT_TERMINAL = `
import fcntl, json, os, pty, struct, sys, termios
steps = json.loads(sys.argv[1])
pid, fd = pty.fork()
if pid == 0: os.execvp(sys.argv[2], sys.argv[2:])
said, looked = b"", 0
while True:
  try: part = os.read(fd, 4096)
  except OSError: break
  if not part: break
  said += part
  at = said.find(steps[0][0].encode(), looked) if steps else -1
  if at >= 0:
    looked = at + 1
    what, arg = (steps.pop(0)[1:] + [None])[:2]
    if what == "type": os.write(fd, arg.encode())
    if what == "size": fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", *arg, 0, 0))
    if what == "gone": os.close(fd); break
sys.stdout.buffer.write(said); sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) % 256)
`;

/** The words of that command; what it says is said, and its status is that of all. */
export function atTerminal(steps: readonly Step[], ...words: string[]): string[] {
  return ["python3", "-c", AT_TERMINAL, JSON.stringify(steps), ...words];
}
