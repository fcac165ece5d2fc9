"""Configuration and start: what is wrong is named, all at once, and nothing is touched."""
import os
import shutil
import socket
import subprocess

import pytest
from relay import BINARY


def start_and_fail(relay, seconds=10):
    """The lines a start that must fail says, and its exit status."""
    done = subprocess.run([BINARY, "run", "--config", relay.configuration], capture_output=True,
                          text=True, timeout=seconds, check=False)
    return done.returncode, (done.stdout + done.stderr).strip().split("\n")


def test_check_names_file_line_what_is_wrong_and_what_would_be_right(make_relay):
    relay = make_relay()
    relay.write_text('hostname = "relay.test";\nmax-recipients = 5;\nretri-first = "5m";\n'
                     'delivery = "maybe";\nlisteners = ( { address = "127.0.0.1"; } );\n')
    done = relay.cli("check", check=False)
    lines = (done.stdout + done.stderr).strip().split("\n")
    assert done.returncode == 1
    for number, words in {2: "100 to 50000", 3: "retry-first", 4: "hold", 5: "port"}.items():
        line = [x for x in lines if x.startswith(f"{relay.configuration}:{number}:")]
        assert line and words in line[0], lines


def test_check_names_every_wrong_file_with_its_line(lab, make_relay):
    relay = make_relay()
    loose = f"{relay.folder}/loose.pem"
    with open(lab.certificate("relay.test")[1], encoding="ascii") as f, \
            open(loose, "w", encoding="ascii") as out:
        out.write(f.read())
    os.chmod(loose, 0o644)
    relay.write_text(f'user = "nobody";\nca-file = "/nowhere.pem";\nlisteners = (\n'
                     f'  {{ address = "127.0.0.1:25"; }},\n'
                     f'  {{ address = "127.0.0.2:25"; tls-certificate = "/no-cert.pem";\n'
                     f'    tls-key = "{loose}"; }} );\n'
                     f'state-dir = "{relay.folder}/state"; run-dir = "{relay.folder}/run";\n')
    lines = relay.cli("check", check=False).stderr.strip().split("\n")
    for number, word in {2: "/nowhere.pem", 5: "/no-cert.pem", 6: "others can read"}.items():
        assert [x for x in lines if x.startswith(f"{relay.configuration}:{number}:") and word in x]
    status, lines = start_and_fail(relay)
    assert status == 1 and len(lines) == 1
    assert "/nowhere.pem" in lines[0] and "/no-cert.pem" in lines[0] and loose in lines[0]
    assert relay.state_is_untouched()


@pytest.mark.parametrize("role, newer", [("queue", "0000000000000009"), ("policy", "39"),
                                         ("tlsrpt", "09000000")])
def test_a_database_of_a_newer_version_is_one_clear_error_and_left_alone(make_relay, role, newer):
    relay = make_relay().start()
    relay.stop()
    folder = f"{relay.folder}/state/{role}"
    subprocess.run(["mdb_load", "-s", "meta", folder], check=True, text=True, stderr=subprocess.DEVNULL,
                   input="VERSION=3\nformat=bytevalue\ntype=btree\nmapsize=20000000000\nHEADER=END\n"
                         f" {b'version'.hex()}\n {newer}\nDATA=END\n")
    for name in os.listdir(folder):
        shutil.chown(f"{folder}/{name}", "nobody")
    with open(f"{folder}/data.mdb", "rb") as f:
        before = f.read()
    status, lines = start_and_fail(relay)
    errors = [x for x in lines if " error " in x]
    assert status == 1 and len(errors) == 1 and "newer" in errors[0] and role in errors[0]
    with open(f"{folder}/data.mdb", "rb") as f:
        assert f.read() == before


def test_a_run_directory_that_cannot_be_made_is_one_clear_line(make_relay):
    relay = make_relay()
    with open(f"{relay.folder}/file", "w", encoding="ascii"):
        pass
    relay.write(run_dir=f"{relay.folder}/file/run")
    status, lines = start_and_fail(relay)
    assert status == 1 and len(lines) == 1 and f"{relay.folder}/file/run" in lines[0]


def test_a_syntax_error_is_named_with_its_line(make_relay):
    relay = make_relay()
    relay.write_text('hostname = "relay.test";\nuser = = "x";\n')
    done = relay.cli("check", check=False)
    assert done.returncode == 1 and f"{relay.configuration}:2" in done.stdout + done.stderr


def test_check_says_yes_to_a_good_configuration(make_relay):
    assert make_relay().cli("check").returncode == 0


def test_an_empty_configuration_is_a_good_one(make_relay):
    relay = make_relay()
    relay.write_text("")
    assert relay.cli("check").returncode == 0


def test_the_sample_configuration_is_a_good_one(make_relay):
    relay = make_relay()
    sample = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../etc/waxseal.conf")
    with open(sample, encoding="utf-8") as f:
        relay.write_text(f.read())
    assert relay.cli("check").returncode == 0


def test_a_configuration_with_errors_stops_the_start_and_touches_nothing(make_relay):
    relay = make_relay()
    relay.write(no_such_setting="x", max_recipients=1)
    status, lines = start_and_fail(relay)
    assert status == 1
    assert len([x for x in lines if x.startswith(relay.configuration)]) == 2
    assert relay.state_is_untouched()


def test_a_missing_configuration_is_one_clear_line(make_relay):
    relay = make_relay()
    os.unlink(relay.configuration)
    status, lines = start_and_fail(relay)
    assert status == 1 and len(lines) == 1 and relay.configuration in lines[0]


def test_a_port_in_use_is_one_clear_line(make_relay):
    relay = make_relay()
    with socket.create_server(("127.0.0.1", 25)):
        status, lines = start_and_fail(relay)
    assert status == 1 and len(lines) == 1 and "127.0.0.1:25" in lines[0]
    assert relay.state_is_untouched()


def test_a_state_directory_that_is_not_writable_is_one_clear_line(make_relay):
    relay = make_relay()
    os.mkdir(f"{relay.folder}/state", 0o755)
    status, lines = start_and_fail(relay)
    assert status == 1 and len(lines) == 1 and f"{relay.folder}/state" in lines[0]
    assert relay.state_is_untouched()


@pytest.mark.parametrize("content", [None, "", "no certificate here\n"])
def test_a_ca_file_without_certificates_is_one_clear_line(make_relay, content):
    relay = make_relay()
    path = f"{relay.folder}/ca.pem"
    relay.write(ca_file=path)
    if content is not None:
        with open(path, "w", encoding="ascii") as f:
            f.write(content)
    status, lines = start_and_fail(relay)
    assert status == 1 and len(lines) == 1 and path in lines[0]
    assert relay.state_is_untouched()


def test_a_user_that_does_not_exist_is_one_clear_line(make_relay):
    relay = make_relay(user="nobody-like-this")
    status, lines = start_and_fail(relay)
    assert status == 1 and len(lines) == 1 and "nobody-like-this" in lines[0]


def test_a_key_that_others_can_read_is_refused(lab, make_relay):
    certificate, key = lab.certificate("relay.test")
    relay = make_relay()
    loose = f"{relay.folder}/key.pem"
    with open(key, encoding="ascii") as f, open(loose, "w", encoding="ascii") as out:
        out.write(f.read())
    os.chmod(loose, 0o644)
    relay.write(listeners=({"address": "127.0.0.1:25", "tls-certificate": certificate,
                            "tls-key": loose},))
    status, lines = start_and_fail(relay)
    assert status == 1 and len(lines) == 1 and loose in lines[0]


def test_a_second_instance_on_the_same_state_is_refused(make_relay):
    relay = make_relay().start()
    second = make_relay(state_dir=relay.settings["state-dir"],
                        listeners=({"address": "127.0.0.3:25"},))
    status, lines = start_and_fail(second, 20)
    assert status == 1 and any("state" in line for line in lines)
    assert relay.is_up()
