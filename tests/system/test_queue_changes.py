"""What the commands that change the queue tell, and what the log keeps of it."""
from test_queue_commands import change, qid_of, waiting  # noqa: F401


def test_the_log_names_whom_a_filter_removed(waiting):  # noqa: F811
    gone = qid_of(waiting, "one@nopolicy.test")
    assert change(waiting, "remove", "--domain", "nopolicy.test", "--younger", "1h", "--reason", "spam run")["changed"] == 2
    event = waiting.wait_event("queue-change", action="remove")
    assert event["filter"] == "domain=nopolicy.test younger=1h" and event["changed"] == "2"
    lines = waiting.events("delivery", outcome="removed")
    assert sorted(line["rcpt"] for line in lines) == ["<one@nopolicy.test>", "<two@nopolicy.test>"]
    line = next(line for line in lines if line["qid"] == gone)
    assert line["reply"] == "spam run" and line["delay"].endswith("s")
    change(waiting, "hold", "--all")
    assert waiting.wait_event("queue-change", action="hold")["filter"] == "all"
