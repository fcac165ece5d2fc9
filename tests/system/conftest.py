"""The stories run inside the lab (`make system`); each gets a relay of its own, production defaults."""
import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lab"))

from lab import VARIABLE, Lab  # noqa: E402
from relay import BINARY, Relay  # noqa: E402
from services import tail  # noqa: E402
from table import RELAY_ADDRESS  # noqa: E402


os.environ.setdefault("WAXSEAL", os.path.abspath(BINARY))   # for stories that start it themselves


def pytest_configure(config):
    if VARIABLE not in os.environ:
        pytest.exit("the stories run inside the lab: make system, or "
                    "tests/lab/enter.py /usr/bin/python3 -m pytest tests/system", 2)


@pytest.fixture(scope="session", name="the_lab")
def fixture_the_lab():
    return Lab.current()


@pytest.fixture(name="lab")
def fixture_lab(the_lab):
    """The lab, with all that a story changed in MX hosts put back afterwards."""
    yield the_lab
    the_lab.mx_as_before()


class Shared:
    """The relay that the stories of a file share; it rests while a story has one of its own."""

    def __init__(self, lab):
        self.relay = Relay(lab, "shared", listeners=(
            {"address": "127.0.0.1:25"}, {"address": "[::1]:25"},
            {"address": f"{RELAY_ADDRESS}:25", "relay-from": ["127.0.0.0/8"]}))

    def rest(self):
        if self.relay.process and self.relay.processes():
            self.relay.kill()

    def running(self):
        if not self.relay.process or not self.relay.processes():
            self.relay.start()
        return self.relay


@pytest.fixture(scope="module", name="shared")
def fixture_shared(the_lab):
    shared = Shared(the_lab)
    yield shared
    shared.rest()


@pytest.fixture(name="shared_relay")
def fixture_shared_relay(lab, shared, request):
    """One running relay for all stories of a file that leave it as it is."""
    yield shared.running()
    show_log(request, shared.relay)


@pytest.fixture(name="make_relay")
def fixture_make_relay(lab, shared, request):
    """Makes relays (not started) that end with the story."""
    made = []
    shared.rest()

    def make(**settings):
        settings = {k.replace("_", "-"): v for k, v in settings.items()}
        made.append(Relay(lab, environment=settings.pop("environment", None), **settings))
        return made[-1]
    yield make
    for relay in made:
        if relay.process and relay.processes():
            relay.kill()
        show_log(request, relay)


def show_log(request, relay):
    """Shows the end of the relay's log when the story has failed."""
    report = getattr(request.node, "call_report", None)
    if report and report.failed:
        print(f"--- log of {relay.folder}\n{tail(relay.log_file, 6000)}")


@pytest.fixture(name="relay")
def fixture_relay(make_relay):
    """A running relay that retries after two seconds and is otherwise as delivered."""
    return make_relay(retry_first="2s", retry_max="4s").start()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.call_report = outcome.get_result()
