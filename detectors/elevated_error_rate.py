"""elevated_error_rate: more of a host's answers are server errors than there should be.

The same as high_error_rate at half its percentage, which tells people and opens no incident that pages them.
Default: 5 per cent of at least 100 requests in five minutes; tells.
Source: the operator's document (error rate under 5 per cent).
"""

from detectors.guide import Guide
from detectors.high_error_rate import HighErrorRate


class ElevatedErrorRate(HighErrorRate):
    """Adds up a batch like high_error_rate."""

    guide = Guide(
        phrase="{subject} answered {percent} of {total} requests with errors",
        what=(
            "More answers of a host are server errors (500 and above) than the operator's aim allows, among "
            "all events with a status, and not yet as many as high_error_rate asks for. Over when less than "
            "four fifths of the percentage are, over a whole window of the minimum volume."
        ),
        needs=(
            "`status` of every request, not only of the failed ones; `host` tells several services apart."
        ),
        check=(
            "`bartizan incidents show ID`: compare `path` and `client_ip` of the failing events, and "
            "`first_seen` with your deployments. One path for many addresses is a fault of the service."
        ),
        act=(
            "Mend the route that the evidence names before it becomes an outage. One address behind most of "
            "the errors: look at what it sends."
        ),
        wrong=(
            "A log that holds the failed requests only makes every rate high: send all of them. A service "
            "whose errors are its clients' business: raise the percentage or `min_volume`."
        ),
        references=("T1499", "OAT-015"),
    )
