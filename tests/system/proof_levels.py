"""For `make proof`: the ten thousand deliveries of test_levels.py."""
from test_levels import run


def test_ten_thousand_deliveries_and_none_over_a_session_made_for_another_name_or_for_less(lab, make_relay):
    run(lab, make_relay, 10000, 300)
