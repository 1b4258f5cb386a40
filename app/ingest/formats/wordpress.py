"""WordPress with the plugin WP fail2ban (or WP Fail2Ban Redux), which writes logins to syslog.

The address stands last, behind the user name, which is the attacker's.
Source: wp-fail2ban filters.d/wordpress-hard.conf and wordpress-soft.conf (its tag is `wordpress(SITE)` or `wp(SITE)`);
wp-fail2ban.php, wp_login() and wp_login_failed().
"""

from app.ingest.formats.patterns import ADDRESS, USER, failure, success
from app.ingest.formats.text_format import text_format

_WHERE = rf" {USER} from {ADDRESS}(?: via XML-RPC)?"
_WAY = r"(?:(?:XML-RPC|REST) a|A)"

FORMAT = text_format(
    "wordpress",
    title="WordPress logins, written to syslog by the plugin WP fail2ban",
    source="wp-fail2ban filters.d",
    programs=("wordpress", "wp"),
    patterns=(
        failure("uthentication failure for ", rf"{_WAY}uthentication failure for{_WHERE}"),
        failure(
            "uthentication attempt for unknown user ",
            rf"{_WAY}uthentication attempt for unknown user{_WHERE}",
        ),
        failure("uthentication attempt for ", rf"Blocked (?:username )?authentication attempt for{_WHERE}"),
        success("Accepted password for ", rf"Accepted password for {USER} from {ADDRESS}"),
    ),
)
