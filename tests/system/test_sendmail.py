"""Mail of this machine: sendmail as programs call it, the drop folder, and what lies in it."""
import os
import shutil
import random
import re
import signal
import socket
import subprocess
import threading
import time

import pytest
import table
from relay import BINARY
from services import kill, wait_until

USER = "daemon"             # some user of the machine; the relay runs as another


def run_sendmail(relay, *words, text="", user=USER, name="sendmail", check=True):
    """Calls it as a program of this user would."""
    link = f"{relay.folder}/{name}"
    if not os.path.exists(link):        # a copy that others reach, wherever it was built
        fresh = f"{link}.{threading.get_ident()}"
        shutil.copy(BINARY, fresh)
        os.replace(fresh, link)
    done = subprocess.run([link, "-C", relay.configuration, *words], input=text.encode(), user=user,
                          capture_output=True, timeout=60, check=False)
    done.out, done.err = done.stdout.decode(), done.stderr.decode()
    assert not check or done.returncode == 0, done.err
    return done


def letter(subject, *fields, to="you@nopolicy.test", body="hello\n"):
    return "".join(f"{f}\n" for f in (f"To: {to}", f"Subject: {subject}", *fields)) + "\n" + body


def arrived(lab, subject):
    """Those that have arrived with this subject, each as (log entry, header, body)."""
    found = []
    for entry in lab.messages():
        with open(entry["file"], encoding="utf-8", errors="replace", newline="") as f:
            header, _, body = f.read().partition("\r\n\r\n")
        if re.search(rf"^Subject: {re.escape(subject)}\r?$", header, re.M):
            found.append((entry, header, body))
    return found


def wait_one(lab, subject, seconds=15):
    found = wait_until(lambda: arrived(lab, subject), seconds, f"{subject} at an MX")
    assert len(found) == 1, "a message arrives once"
    return found[0]


def drop_folder(relay):
    return f"{relay.folder}/state/drop"


def waiting(relay):
    return sorted(n for n in os.listdir(drop_folder(relay)) if n != "aside")


def put_aside(relay):
    return os.listdir(f"{drop_folder(relay)}/aside")


@pytest.fixture(name="down")
def fixture_down(make_relay):
    """A relay that has run before and is down."""
    relay = make_relay(retry_first="2s", retry_max="4s").start()
    wait_until(lambda: os.path.exists(drop_folder(relay)), 5, "the drop folder")
    relay.stop()
    return relay


# ------------------------------------------------------------ as programs call it

def test_cron_hands_in_its_output(lab, relay):
    run_sendmail(relay, "-FCronDaemon", "-i", "-B8BITMIME", "-oem", "you@nopolicy.test", user="daemon",
                 text="From: root (Cron Daemon)\nTo: you@nopolicy.test\nSubject: Cron <root@host> backup\n"
                      "MIME-Version: 1.0\n\nHälfte\n.\nalles\n")
    entry, header, body = wait_one(lab, "Cron <root@host> backup")
    assert body == "Hälfte\r\n.\r\nalles\r\n" and not entry["bare"]
    assert re.search(r"^Received: from localhost \(local user \d+\)", header, re.M)
    assert re.search(r"^Date: ", header, re.M) and re.search(r"^Message-ID: <.*@", header, re.M)
    accept = relay.wait_event("accept")
    assert accept["client"].startswith("local:") and accept["from"].startswith("<daemon@")


def test_php_hands_in_with_recipients_in_the_header(lab, relay):
    run_sendmail(relay, "-t", "-i", "-fweb@sender.test",
                 text=letter("php", "From: Shop <shop@sender.test>", "Cc: too@nopolicy.test",
                             "Bcc: secret@nopolicy.test", to='"You, there" <you@nopolicy.test>'))
    entry, header, _ = wait_one(lab, "php")
    assert sorted(entry["recipients"]) == ["<secret@nopolicy.test>", "<too@nopolicy.test>",
                                           "<you@nopolicy.test>"]
    assert "secret" not in header and "From: Shop <shop@sender.test>\r\n" in header
    assert entry["sender"].startswith("<web@sender.test>")


def test_bare_names_and_missing_fields_are_completed(make_relay):
    relay = make_relay(delivery="hold", origin="origin.test").start()
    run_sendmail(relay, "root", text="only text\n")
    rows = relay.wait_queue(1)
    assert '"user":"local:1"' in relay.cli("queue", "show", rows[0]["id"], "--json").stdout
    assert rows[0]["recipient"] == "root@origin.test" and rows[0]["sender"] == f"{USER}@origin.test"


def test_mail_for_root_goes_where_aliases_say_whether_the_relay_is_up_or_down(lab, make_relay):
    relay = make_relay()
    with open(f"{relay.folder}/aliases", "w", encoding="ascii") as f:
        f.write("root: admin@nopolicy.test\n")
    relay.write(aliases_file=f"{relay.folder}/aliases")
    relay.start()
    run_sendmail(relay, "root", text="Subject: up\n\nx\n")
    assert wait_one(lab, "up")[0]["recipients"] == ["<admin@nopolicy.test>"]
    relay.stop()
    run_sendmail(relay, "root", text="Subject: while down\n\nx\n")
    relay.start()
    assert wait_one(lab, "while down")[0]["recipients"] == ["<admin@nopolicy.test>"]


def test_mdadm_and_logwatch_style_calls_are_understood(lab, relay):
    run_sendmail(relay, "-t", text=letter("DegradedArray", "From: mdadm monitoring <root@sender.test>"))
    wait_one(lab, "DegradedArray")
    run_sendmail(relay, "-t", "-oi", "-oem", "-odi", text=letter("Logwatch", "From: root@sender.test"))
    wait_one(lab, "Logwatch")


def test_notifications_are_asked_for(lab, relay):
    lab.mx("mx.nopolicy.test", extensions="PIPELINING\nDSN")
    run_sendmail(relay, "-t", "-N", "success,delay", "-R", "hdrs", "-V", "id-7", text=letter("notify"))
    wait_one(lab, "notify")
    lab.mx("mx.nopolicy.test", greeting="220 anew")     # ends idle sessions, so that they are logged
    said = " ".join(c for s in lab.sessions(host="mx.nopolicy.test") for c in s["commands"])
    assert "RET=HDRS ENVID=id-7" in said
    assert "RCPT TO:<you@nopolicy.test> NOTIFY=SUCCESS,DELAY" in said


def test_smtp_is_spoken_on_standard_input(lab, relay):
    talk = ("EHLO x\r\nMAIL FROM:<a@sender.test>\r\nRCPT TO:<you@nopolicy.test>\r\nDATA\r\n"
            "Subject: bs\r\n\r\nhi\r\n.\r\nQUIT\r\n")
    done = run_sendmail(relay, "-bs", text=talk)
    assert "221 " in done.out
    wait_one(lab, "bs")
    done = run_sendmail(relay, "-bs", text=talk.replace("\r", ""), check=False)
    assert done.returncode == 65 and "500 5.5.2" in done.out and "CRLF" in done.err


def test_mailq_shows_the_queue_and_newaliases_does_nothing(make_relay):
    relay = make_relay(delivery="hold").start()
    run_sendmail(relay, "held@nopolicy.test", text="x\n")
    relay.wait_queue(1)
    assert "held@nopolicy.test" in run_sendmail(relay, name="mailq", user=None).out
    assert "held@nopolicy.test" in run_sendmail(relay, "-bp", user=None).out
    assert run_sendmail(relay, name="mailq", check=False).returncode != 0, "others are not shown it"
    assert run_sendmail(relay, name="newaliases").returncode == 0


@pytest.mark.parametrize("words, text, status, said", [
    (["you@nopolicy..test"], "x\n", 67, "forward-path"), ([], "x\n", 64, "no recipient"),
    (["-t"], "Subject: x\n\nx\n", 64, "no recipient"), (["-Z", "you@nopolicy.test"], "x\n", 64, "-Z"),
    (["good@nopolicy.test", "bad@no..test"], "x\n", 67, "<bad@no..test>"),
    (["-bd"], "", 64, "waxseal run"), (["a b"], "x\n", 64, "a b")])
def test_what_is_wrong_is_said_and_nobody_gets_it(relay, words, text, status, said):
    done = run_sendmail(relay, *words, text=text, check=False)
    assert done.returncode == status and said in done.err
    assert relay.queue() == [] and waiting(relay) == []


def test_too_large_is_refused_and_not_lost_in_silence(make_relay):
    relay = make_relay(max_message_size="64K").start()
    done = run_sendmail(relay, "you@nopolicy.test", text="x" * 60 + "\n" + ("y" * 70 + "\n") * 3000,
                        check=False)
    assert done.returncode == 69 and "too large" in done.err


def test_more_recipients_than_a_transaction_takes_are_served_in_parts(make_relay):
    relay = make_relay(max_recipients=100, delivery="hold").start()
    everybody = [f"u{n}@nopolicy.test" for n in range(250)]
    run_sendmail(relay, *everybody, text="x\n")
    assert sorted(r["recipient"] for r in relay.wait_queue(250)) == sorted(everybody)
    assert [e["nrcpt"] for e in relay.events("accept")] == ["100", "100", "50"]


def test_local_submission_can_be_off(make_relay):
    relay = make_relay(local_submission="off").start()
    done = run_sendmail(relay, "you@nopolicy.test", text="x\n", check=False)
    assert done.returncode == 69 and "local-submission" in done.err
    assert os.stat(drop_folder(relay)).st_mode & 0o7777 == 0o700
    assert not os.path.exists(f"{relay.folder}/run/submit")
    relay.write(local_submission="on")
    relay.reload()
    wait_until(lambda: os.path.exists(f"{relay.folder}/run/submit"), 5, "the socket")
    wait_until(lambda: os.stat(drop_folder(relay)).st_mode & 0o7777 == 0o1733, 5, "an open folder")
    run_sendmail(relay, "you@nopolicy.test", text="x\n")
    assert relay.wait_event("accept")


def test_without_any_relay_the_failure_is_loud(make_relay):
    relay = make_relay()
    done = run_sendmail(relay, "you@nopolicy.test", text="x\n", check=False)
    assert done.returncode == 75 and "drop" in done.err


def test_any_listener_may_have_a_unix_socket(lab, make_relay):
    relay = make_relay()
    path = f"{relay.folder}/a socket"
    relay.write(listeners=({"address": ["127.0.0.1:25", f"unix:{path}"], "name": "boxes"},))
    for _ in range(2):                  # the second start finds the socket of the first
        relay.start()
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(path)
            s.settimeout(10)
            assert s.recv(1000).startswith(b"220 ")
            s.sendall(b"EHLO x\r\nMAIL FROM:<a@sender.test>\r\nRCPT TO:<you@nopolicy.test>\r\n")
            wait_until(lambda s=s: b"2.1.5" in s.recv(1000), 5, "the recipient to be taken")
        relay.reload()
        relay.wait_event("reloaded")
        relay.stop()
    with open(path + "2", "w", encoding="ascii") as f:
        f.write("no socket")
    relay.write(listeners=({"address": f"unix:{path}2"},))
    relay.launch()
    assert relay.process.wait(10) != 0
    assert "is there and no socket" in relay.wait_event("start-refused")["error"]


# ------------------------------------------------------------ while the relay is down

def test_what_comes_while_the_relay_is_down_arrives_once_when_it_is_up(lab, down):
    for n in range(20):
        run_sendmail(down, "-t", text=letter(f"down {n}"))
    assert len(waiting(down)) == 20
    modes = {oct(os.stat(f"{drop_folder(down)}/{n}").st_mode & 0o7777) for n in waiting(down)}
    assert modes == {"0o644"} and os.stat(drop_folder(down)).st_mode & 0o7777 == 0o1733
    down.start()
    for n in range(20):
        wait_one(lab, f"down {n}")
    wait_until(lambda: waiting(down) == [], 10, "an empty drop folder")
    accept = down.wait_event("accept")
    assert accept["client"].startswith("local:") and accept.role == "pickup"
    time.sleep(1)
    assert len(arrived(lab, "down 7")) == 1


def test_file_and_name_are_on_disk_before_it_says_0(down):
    trace = f"{down.folder}/trace"
    subprocess.run(["strace", "-f", "-o", trace, "-e", "trace=fsync,renameat2,syncfs,exit_group", BINARY,
                    "sendmail", "-C", down.configuration, "you@nopolicy.test"], input=b"x\n", check=True,
                   timeout=30)
    with open(trace, encoding="utf-8") as f:
        calls = [re.search(r"(fsync|renameat2|syncfs|exit_group)\(.*\) += (0|\?)", line) for line in f]
    assert [c[1] for c in calls if c] == ["fsync", "renameat2", "syncfs", "exit_group"]


@pytest.mark.parametrize("closed, status", [(0, 74), (1, 0), (2, 0)])
def test_descriptors_that_were_closed_are_nobodys(lab, relay, closed, status):
    done = subprocess.run(["sh", "-c", f'exec "$0" "$@" {closed}>&-', BINARY, "sendmail", "-v", "-C",
                           relay.configuration, "you@nopolicy.test"], capture_output=True, timeout=30,
                          input=f"Subject: closed {closed}\n\nx\n".encode(), check=False)
    assert done.returncode == status
    if status == 0:
        assert wait_one(lab, f"closed {closed}")[2] == "x\r\n"


def test_a_full_disk_is_no_success(down):
    folder = drop_folder(down)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=1733", "tmpfs", folder], check=True)
    try:
        done = run_sendmail(down, "you@nopolicy.test", text="x" * 70 + "\n" + ("y" * 70 + "\n") * 2000,
                            check=False)
        assert done.returncode == 75 and "No space left" in done.err
        assert os.listdir(folder) == [], "nothing of it stays"
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_user_can_neither_list_the_folder_nor_guess_a_name(down):
    run_sendmail(down, "you@nopolicy.test", text="secret\n")
    listed = subprocess.run(["ls", drop_folder(down)], user=USER, capture_output=True, check=False)
    assert listed.returncode != 0
    assert re.fullmatch(r"m[0-9a-f]{32}", waiting(down)[0])


def test_what_the_rules_refuse_later_is_told_to_its_sender(lab, down):
    run_sendmail(down, "-f", "told@nopolicy.test", "good@nopolicy.test", "bad@no..test",
                 text=letter("partly"))
    run_sendmail(down, "-f", "told@nopolicy.test", "worse@no..test", text=letter("not at all"))
    down.start()
    wait_one(lab, "partly")
    notices = wait_until(lambda: (lambda f: f if len(f) == 2 else None)(
        arrived(lab, "Your message was refused")), 15, "two notices")
    text = "".join(body for _, _, body in notices)
    assert "<bad@no..test>: 501" in text and "<worse@no..test>: 501" in text
    assert all(e["sender"].startswith("<>") for e, _, _ in notices)
    assert len(put_aside(down)) == 1 and waiting(down) == []


def crowd(relay, **names):
    """Aliases that stand for so many recipients each."""
    with open(f"{relay.folder}/aliases", "w", encoding="ascii") as f:
        for name, count in names.items():
            f.write(f"{name}: " + ", ".join(f"{name}{n}@nopolicy.test" for n in range(count)) + "\n")
    relay.write(aliases_file=f"{relay.folder}/aliases", max_recipients=100)


def test_what_is_never_taken_is_told_to_its_sender_in_the_end(lab, down):
    crowd(down, left=60, right=60)
    down.write(queue_lifetime="1s")
    run_sendmail(down, "-f", "told@nopolicy.test", "left", "right", text=letter("too many together"))
    time.sleep(1)
    down.start()
    notice = wait_until(lambda: [body for _, _, body in arrived(lab, "Your message was refused")
                                 if "452 4.5.3" in body], 15, "a notice")
    assert len(notice) == 1 and "Nobody got it" in notice[0]
    assert arrived(lab, "too many together") == []
    assert len(put_aside(down)) == 1 and waiting(down) == []


def test_a_sender_who_cannot_be_told_makes_nobody_get_it_twice(lab, down):
    crowd(down, many=120)
    run_sendmail(down, "-f", f"many@{table.RELAY_NAME}", "lf@nopolicy.test", "bad@no..test", text=letter("once"))
    down.start()
    wait_one(lab, "once")
    assert down.wait_event("drop-aside", why="taken for some, its sender cannot be told")
    assert len(put_aside(down)) == 1 and waiting(down) == []
    time.sleep(11)                              # files that wait are looked at every 10 seconds
    assert len(arrived(lab, "once")) == 1


# ------------------------------------------------------------ hostile folders

def drop(folder, number, content, *commands):
    """Writes what looks like a message that sendmail has left."""
    commands = commands or ("MAIL FROM:<a@sender.test>", "RCPT TO:<lf@nopolicy.test>")
    with open(f"{folder}/m{number:032x}", "w", encoding="ascii", newline="") as f:
        f.write(f"waxseal-drop 1 m{number:032x}\n{len(content)}\n"
                + "".join(c + "\n" for c in commands) + "\n" + content)


def hostile(folder):
    """What a user may put there."""
    def name(number):
        return f"{folder}/m{number:032x}"
    os.symlink("/etc/passwd", name(1))
    os.mkfifo(name(2))
    os.mkdir(name(3))
    with open(name(4), "w", encoding="ascii") as f:
        f.write("garbage\n" * 100)
    with open(name(5), "wb") as f:
        f.truncate(1 << 40)
    drop(folder, 6, "Subject: cut\r\n\r\n")
    os.truncate(name(6), os.path.getsize(name(6)) - 1)
    drop(folder, 7, "Subject: lf\n\nbare\n")
    drop(folder, 8, "x: y\r\n\r\n", "MAIL FROM:<a@sender.test>", "QUIT")
    drop(folder, 9, "x: y\r\n\r\n", "MAIL FROM:<a@sender.test>", "RCPT TO:<b@c.test>\rDATA")
    with open(name(10), "w", encoding="ascii") as f:
        f.write("unreadable")
    os.chmod(name(10), 0)
    with open(f"{folder}/other name", "w", encoding="ascii") as f:
        f.write("x")
    os.link(f"{folder}/other name", name(11))
    with open(f"{folder}/t{12:032x}", "w", encoding="ascii") as f:
        f.write("half")
    os.utime(f"{folder}/t{12:032x}", (1, 1))


def as_user(function, *arguments, user=1):
    """Runs a function in a process of another user."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgid(user)
            os.setuid(user)
            function(*arguments)
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def test_what_is_no_message_is_put_aside_named_and_never_looked_at_again(lab, down):
    run_sendmail(down, "-t", text=letter("among thieves"))
    as_user(hostile, drop_folder(down))
    down.start()
    wait_one(lab, "among thieves")
    wait_until(lambda: len(down.events("drop-aside")) == 12 and down.events("drop-removed"), 10,
               "all to be named")
    reasons = {e["why"] for e in down.events("drop-aside")}
    assert {"not a regular file", "too large", "another form", "foreign name", "cannot be read",
            "another size than it says", "bad command", "cut short or no mail"} <= reasons
    count = len(down.events("drop-aside"))
    time.sleep(3)
    assert len(down.events("drop-aside")) == count, "each is named once"
    assert waiting(down) == [f"m{3:032x}"], "only the directory of another cannot be moved"
    assert len(down.role_pids("pickup")) == 1
    assert not arrived(lab, "lf")


def test_a_file_of_another_is_not_sent_by_a_second_name(lab, down):
    run_sendmail(down, "-t", text=letter("linked"))
    name = waiting(down)[0]
    os.link(f"{drop_folder(down)}/{name}", f"{down.folder}/kept")
    down.start()
    assert down.wait_event("drop-aside")["why"] == "more than one name"
    os.unlink(f"{down.folder}/kept")
    os.rename(f"{drop_folder(down)}/aside/{put_aside(down)[0]}", f"{drop_folder(down)}/m{0:032x}")
    assert down.wait_event("drop-aside", count=2)["why"] == "another file's content"
    assert not arrived(lab, "linked")


def test_thousands_of_files_of_one_user_do_not_keep_others_waiting(lab, down):
    def flood(folder):
        for n in range(3000):
            drop(folder, n, "Subject: f\r\n\r\nx\r\n")
    as_user(flood, drop_folder(down))
    run_sendmail(down, "-t", text=letter("in time"), user="bin")
    down.write(delivery="hold")
    down.start()
    wait_until(lambda: down.events("accept", client="local:2"), 20, "the other's message")
    wait_until(lambda: waiting(down) == [], 60, "an empty drop folder")
    assert len(down.events("accept")) == 3001


# ------------------------------------------------------------ kill -9

def test_whatever_dies_what_sendmail_took_arrives(lab, relay):
    """Every role is killed again and again while a user sends: 0 means kept."""
    stop = threading.Event()

    def kill_at_random():
        while not stop.wait(random.uniform(0.05, 0.4)):
            role = random.choice(["smtpd", "pickup", "queue"])
            for pid in relay.role_pids(role):
                kill(pid, signal.SIGKILL)
    killer = threading.Thread(target=kill_at_random)
    killer.start()
    try:
        for n in range(40):
            run_sendmail(relay, "-t", text=letter(f"chaos {n}"))
    finally:
        stop.set()
        killer.join()
    for n in range(40):
        wait_until(lambda s=f"chaos {n}": arrived(lab, s), 60, f"chaos {n} at an MX")
    wait_until(lambda: waiting(relay) == [], 30, "an empty drop folder")


def test_pickup_killed_at_any_moment_loses_nothing(lab, down):
    """What is doubled was committed and not yet removed: at most those under way at a kill."""
    for n in range(60):
        run_sendmail(down, "-t", text=letter(f"killed {n}"))
    down.write(delivery="hold")
    down.start()
    kills = 0
    while waiting(down) and kills < 15:
        time.sleep(random.uniform(0, 0.25))
        for pid in down.role_pids("pickup"):
            kill(pid, signal.SIGKILL)
        kills += 1
    wait_until(lambda: waiting(down) == [], 60, "an empty drop folder")
    rows = down.queue()
    down.write(delivery="on")
    down.reload()
    for n in range(60):
        wait_until(lambda s=f"killed {n}": arrived(lab, s), 30, f"killed {n} at an MX")
    assert 60 <= len(rows) <= 60 + 8 * kills
    assert put_aside(down) == []
