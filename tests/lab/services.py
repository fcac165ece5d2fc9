"""Background programs of the lab, which any process inside it can stop, pause and start again."""
import ctypes
import os
import signal
import socket
import subprocess
import time


class Service:
    """A program in the foreground of its own session; its process id stands in a file."""

    def __init__(self, folder, name, argv, ready=None, internet=False):
        self.folder, self.name, self.argv, self.ready = folder, name, argv, ready
        self.internet = internet        # runs there, not on the relay's machine
        os.makedirs(f"{folder}/pid", exist_ok=True)
        self.pid_file = f"{folder}/pid/{name}"

    def launch(self):
        """Starts the program without waiting until it serves."""
        argv = (in_internet(self.folder) if self.internet else []) + self.argv
        with open(f"{self.folder}/{self.name}.out", "ab") as out:
            p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                 start_new_session=True, cwd=self.folder)
        with open(self.pid_file, "w", encoding="ascii") as f:
            f.write(str(p.pid))
        return self

    def start(self):
        return self.launch().wait_ready()

    def wait_ready(self, seconds=20):
        wait_until(lambda: self.ready is None or self.ready(), seconds, f"{self.name} to serve",
                   lambda: tail(f"{self.folder}/{self.name}.out"))
        return self

    def pid(self):
        with open(self.pid_file, encoding="ascii") as f:
            return int(f.read())

    def started(self):
        return os.path.exists(self.pid_file) and self.running()

    def running(self):
        return process_state(self.pid()) not in ("", "Z")

    def stop(self, sig=signal.SIGTERM):
        pid = self.pid()
        kill(pid, sig)
        wait_until(lambda: process_state(pid) in ("", "Z"), 20, f"{self.name} to end")

    def pause(self):
        """Makes it silent: it neither answers nor refuses."""
        os.killpg(self.pid(), signal.SIGSTOP)

    def resume(self):
        os.killpg(self.pid(), signal.SIGCONT)


def save_internet(folder, pid):
    """Notes which process keeps the internet's network namespace."""
    with open(f"{folder}/internet", "w", encoding="ascii") as f:
        f.write(f"/proc/{pid}/ns/net")


def internet_path(folder):
    with open(f"{folder}/internet", encoding="ascii") as f:
        return f.read()


def in_internet(folder):
    """What to put in front of a command that shall run there."""
    return ["nsenter", f"--net={internet_path(folder)}"]


def move_to_internet(folder):
    """Takes this thread over there."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(internet_path(folder), "rb") as f:
        if libc.setns(f.fileno(), 0):
            raise OSError(ctypes.get_errno(), "setns")


def kill(pid, sig):
    try:
        os.kill(pid, sig)
    except ProcessLookupError:
        pass


def process_state(pid):
    """The letter of /proc/PID/stat, or "" where there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="latin-1") as f:
            return f.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def tail(path, size=2000):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()[-size:]
    except FileNotFoundError:
        return ""


def wait_until(true, seconds, what, explain=lambda: "", every=0.02):
    """Waits until true() holds and returns what it gave; else says what was waited for."""
    end = time.monotonic() + seconds
    while True:
        result = true()
        if result:
            return result
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s for {what} {explain()}")
        time.sleep(every)


def answers(address, port):
    """A check that somebody listens there."""
    def check():
        try:
            socket.create_connection((address, port), timeout=1).close()
            return True
        except OSError:
            return False
    return check
