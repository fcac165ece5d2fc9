"""The supervisor: alarms, what stays down, what a reload refuses, the control socket, the manager."""
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import time

from client import Client
from relay import BINARY
from services import wait_until


def ready(relay):
    wait_until(lambda: relay.events("ready"), 10, "all roles to be ready")
    return relay


def test_the_fifth_death_within_a_minute_is_an_alarm_and_the_role_goes_on(relay):
    ready(relay)
    for _ in range(5):
        relay.kill_role("policy")
        time.sleep(0.2)
    alarm = relay.wait_event("role-keeps-dying", name="policy")
    assert alarm.level == "error"
    wait_until(lambda: relay.role_pids("policy"), 5, "the role to be back")
    assert not relay.events("role-keeps-dying", name="queue")


def test_a_role_that_never_serves_is_started_later_and_later_and_the_others_serve(make_relay):
    relay = ready(make_relay().start())
    relay.stop()
    os.chmod(f"{relay.folder}/state/tlsrpt/data.mdb", 0)
    starts = len(relay.events("role-started", name="tlsrpt"))
    relay.launch()
    time.sleep(4.5)
    tried = len(relay.events("role-started", name="tlsrpt")) - starts
    assert 5 <= tried <= 6, "after 0, 0.1, 0.3, 0.7, 1.5 and 3.1 seconds"
    relay.wait_event("role-keeps-dying", name="tlsrpt")
    with Client() as c:
        c.begin("a@sender.test", "you@nopolicy.test")
        assert c.data(b"Subject: hello\r\n\r\n")[0] == 250
    os.chmod(f"{relay.folder}/state/tlsrpt/data.mdb", 0o600)
    relay.reload()
    wait_until(lambda: relay.cli("status", check=False).returncode == 0, 5, "a reload to try at once")


def test_a_damaged_queue_stays_down_untouched_and_clients_are_put_off(make_relay):
    relay = ready(make_relay().start())
    relay.stop()
    data = f"{relay.folder}/state/queue/data.mdb"
    with open(data, "r+b") as f:
        f.write(b"\xff" * 8192 * 2)
    with open(data, "rb") as f:
        damaged = f.read()
    relay.start()
    down = relay.wait_event("role-stays-down", name="queue")
    assert down.level == "error"
    assert [e for e in relay.events("role-ends") if "salvage" in e.text]
    done = relay.cli("queue", "list", check=False)
    assert done.returncode == 1 and "does not run" in done.stderr
    with open(data, "rb") as f:
        assert f.read() == damaged
    with socket.create_connection(relay.address, timeout=15) as s:
        assert s.recv(4)[:3] in (b"421", b"220")


def test_a_folder_in_the_place_of_the_queues_file_is_storage_trouble(make_relay):
    relay = ready(make_relay().start())
    relay.stop()
    os.unlink(f"{relay.folder}/state/queue/data.mdb")
    os.mkdir(f"{relay.folder}/state/queue/data.mdb")
    relay.start()
    relay.wait_event("role-stays-down", name="queue")
    ends = [e for e in relay.events("role-ends") if "salvage" in e.text]
    assert len(ends) == 1
    assert f"store {relay.folder}/state/queue" in ends[0].text and "no file" in ends[0].text
    time.sleep(1)
    assert len(relay.events("role-stays-down", name="queue")) == 1


def test_what_is_decided_at_the_start_is_refused_at_a_reload(relay):
    ready(relay)
    relay.write(state_dir=f"{relay.folder}/other")
    relay.reload()
    refused = relay.wait_event("reload-refused")
    assert "state-dir" in refused.text and "restart" in refused.text
    assert not os.path.exists(f"{relay.folder}/other")
    assert not relay.events("reloaded")


def test_a_reload_that_cannot_bind_changes_nothing(relay):
    ready(relay)
    with socket.create_server(("127.0.0.1", 2526)):
        relay.write(listeners=({"address": "127.0.0.1:2526"},))
        relay.reload()
        assert "127.0.0.1:2526" in relay.wait_event("reload-refused").text
    with Client() as c:
        assert c.greeting[0] == 220


def test_a_ca_bundle_that_lost_its_certificates_is_not_taken(lab, make_relay):
    relay = make_relay()
    bundle = f"{relay.folder}/ca.pem"
    shutil.copy(lab.ca_file, bundle)
    relay.write(ca_file=bundle)
    ready(relay.start())
    with open(bundle, "w", encoding="ascii") as f:
        f.write("gone\n")
    assert bundle in relay.wait_event("file-refused").text
    with open(lab.ca_file, encoding="ascii") as f, open(bundle, "w", encoding="ascii") as out:
        out.write("# renewed\n" + f.read())
    relay.wait_event("file-changed", path=bundle)


def test_nonsense_on_the_control_socket_ends_that_connection_only(relay):
    ready(relay)
    path = f"{relay.folder}/run/control.sock"
    for nonsense in (b"", b"\0" * 12, b"\xff" * 4096, b"GET / HTTP/1.0\r\n\r\n"):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            s.connect(path)
            s.sendall(nonsense)
            s.shutdown(socket.SHUT_WR)
            assert s.recv(100) == b""
    assert relay.queue() == []
    assert not relay.events("role-ended")


def test_the_control_socket_is_for_root_and_the_relays_user_alone(relay):
    ready(relay)
    mode = os.stat(f"{relay.folder}/run/control.sock").st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600
    done = subprocess.run(["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", BINARY,
                           "queue", "list", "--config", relay.configuration], capture_output=True,
                          text=True, timeout=10, check=False)
    assert done.returncode == 1 and not done.stdout
    assert done.stderr.startswith("waxseal: only root and the user of the relay may ask")


def test_one_command_more_than_are_answered_at_a_time_is_told_to_try_again(relay):
    ready(relay)
    others = [socket.socket(socket.AF_UNIX) for _ in range(17)]
    for other in others:
        other.connect(f"{relay.folder}/run/control.sock")
    done = relay.cli("queue", "list", check=False)
    assert done.returncode == 1 and "answers as many commands as it may; try again" in done.stderr
    for other in others:
        other.close()
    wait_until(lambda: relay.cli("queue", "list", check=False).returncode == 0, 5, "room for a command")


def test_a_socket_left_behind_is_replaced_and_anything_else_is_not(make_relay):
    relay = ready(make_relay().start())
    relay.kill()
    assert os.path.exists(f"{relay.folder}/run/control.sock")
    ready(relay.start())
    relay.stop()
    assert not os.path.exists(f"{relay.folder}/run/control.sock")
    with open(f"{relay.folder}/run/control.sock", "w", encoding="ascii") as f:
        f.write("mine")
    relay.launch()
    assert relay.process.wait(10) == 1
    with open(f"{relay.folder}/run/control.sock", encoding="ascii") as f:
        assert f.read() == "mine"


def test_a_service_manager_hears_of_start_reload_and_stop(lab, make_relay):
    name = f"{lab.folder}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name)
        manager.settimeout(10)
        relay = make_relay(environment={"NOTIFY_SOCKET": name}).start()
        assert manager.recv(200).startswith(b"READY=1")
        relay.reload()
        assert manager.recv(200).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert manager.recv(200).startswith(b"READY=1")
        relay.write_text("nonsense = 1;")
        relay.reload()
        assert manager.recv(200).startswith(b"RELOADING=1")
        assert manager.recv(200).startswith(b"READY=1")
        relay.stop()
        assert manager.recv(200).startswith(b"STOPPING=1")
    os.unlink(name)


def test_the_roles_leave_no_core_hold_no_foreign_descriptor_and_cannot_be_traced(relay):
    ready(relay)
    for role in ("smtpd", "auth", "pickup", "queue", "deliver", "policy", "tlsrpt", "sign"):
        for pid in relay.role_pids(role):
            with open(f"/proc/{pid}/limits", encoding="ascii") as f:
                core = [line for line in f if line.startswith("Max core file size")][0]
            assert core.split()[4:6] == ["0", "0"], role
            assert os.stat(f"/proc/{pid}/fd").st_uid == 0, "not dumpable: root's, not the role's"
            opened = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
            assert not [o for o in opened if o.endswith(("/waxseal", "waxseal.conf"))], role


def test_a_state_directory_below_a_closed_one_is_reached(make_relay):
    relay = make_relay()
    closed = f"{relay.folder}/closed"
    os.makedirs(f"{closed}/state")
    shutil.chown(f"{closed}/state", "nobody")
    os.chmod(closed, 0o700)
    relay.write(state_dir=f"{closed}/state")
    ready(relay.start())
    assert relay.queue() == []
    assert os.path.exists(f"{closed}/state/queue/data.mdb")


def test_a_role_that_hangs_hides_nothing_else_of_the_status(lab, make_relay):
    relay = make_relay().start()
    (policy,) = relay.role_pids("policy")
    os.kill(policy, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        done = relay.cli("status", "--json", check=False)
        assert time.monotonic() - begin < 15
    finally:
        os.kill(policy, signal.SIGCONT)
    status = json.loads(done.stdout)
    assert done.returncode == 1 and "role policy: the relay does not answer" in done.stderr
    assert status["policy"] is None and status["queue"]["messages"] == 0
    assert [row["role"] for row in status["dnssec"]] == ["deliver"]
    assert relay.cli("status").returncode == 0
