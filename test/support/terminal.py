"""Runs a program at a terminal of its own, types, sends signals, and says in JSON what came of it.

The one argument is JSON: `argv`; `background`, true to start it in the terminal's background; and `steps`,
each with `expect` (waits until that stands on the screen), then `type` or `signal` (to the foreground) or `hangup`.
stdin is /dev/null and stdout a pipe, so that only the controlling terminal is one; with `stdin` true that is stdin, too.
"""
import fcntl, json, os, select, signal, sys, termios, time

run = json.loads(sys.argv[1])
master, slave = os.openpty()
before = termios.tcgetattr(slave)
stdout, child_stdout = os.pipe()

def start():
    os.dup2(slave if run.get("stdin") else os.open("/dev/null", os.O_RDONLY), 0)
    os.dup2(child_stdout, 1)
    os.execv(run["argv"][0], run["argv"])

leader = os.fork()
if leader == 0:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    os.close(master)
    if not run.get("background"):
        start()
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        start()
    _, status = os.waitpid(pid, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        os.kill(pid, signal.SIGKILL)
        os.write(child_stdout, b"stopped")
    os._exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 1)

os.close(child_stdout)
deadline = time.monotonic() + 15
screen, answer, asking = b"", b"", None
sources = [master, stdout]

def look(until):
    """Collects what the program writes, until it has written enough or ended."""
    global screen, answer
    while not until():
        left = deadline - time.monotonic()
        ready = select.select(sources, [], [], max(left, 0))[0]
        if left <= 0:
            os.kill(leader, signal.SIGKILL)
            sys.exit(f"too late; screen: {screen!r}, stdout: {answer!r}")
        if master in ready:
            screen += os.read(master, 4096)
        if stdout in ready:
            chunk = os.read(stdout, 4096)
            answer += chunk
            if not chunk:
                return

seen = 0
for step in run["steps"]:
    if "expect" in step:
        wanted = step["expect"].encode()
        look(lambda: wanted in screen[seen:])
        if wanted not in screen[seen:]:
            sys.exit(f"ended too early; screen: {screen!r}, stdout: {answer!r}")
        seen = screen.index(wanted, seen) + len(wanted)
        asking = termios.tcgetattr(slave)
    if "type" in step:
        os.write(master, step["type"].encode())
    if "signal" in step:
        os.killpg(os.tcgetpgrp(master), getattr(signal, step["signal"]))
    if step.get("hangup"):
        os.close(slave)
        os.close(master)
        sources.remove(master)
look(lambda: False)
_, status = os.waitpid(leader, 0)
hung_up = master not in sources
while not hung_up and select.select([master], [], [], 0)[0]:
    screen += os.read(master, 4096)
print(json.dumps({
    "screen": screen.decode(),
    "stdout": answer.decode(),
    "status": os.waitstatus_to_exitcode(status),
    "echoWhileAsking": asking is not None and bool(asking[3] & termios.ECHO),
    "restored": hung_up or termios.tcgetattr(slave) == before,
}))
