"""Programs that visit by themselves: the list behind `ignore_bots`.

An entry is a part of the user agent that the program gives itself, whatever its version, and
specific enough that no person's browser has it.  The source is the address that it names in
that user agent, or whose program it is.  What merely could be a bot (curl, a library of a
language) is not here: people's scripts look the same.

Whoever lies about its name passes; this keeps an app asleep, it keeps nobody out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache


class Kind(StrEnum):
    """Why such a program is no reason to be awake."""

    SEARCH = (
        "search engines index a page sooner or later; the answer 503 with Retry-After has them come again"
    )
    AI = "crawlers that collect text for language models, or answer questions with it"
    RESEARCH = "crawlers that sell what they know of links and rankings, or archive the web"
    PREVIEW = "somebody has pasted a link somewhere; nobody has opened it"
    MONITOR = "uptime monitors ask every minute, for ever"
    HEALTH = "health checks of load balancers and clusters ask every few seconds, for ever"
    SCANNER = "looks for holes, at every address there is"


@dataclass(frozen=True, slots=True)
class Bot:
    """A program that visits by itself."""

    token: str
    """A part of its user agent, upper or lower case."""
    kind: Kind
    source: str


BOTS = (
    Bot("Googlebot", Kind.SEARCH, "www.google.com/bot.html"),
    Bot("GoogleOther", Kind.SEARCH, "Google"),
    Bot("Google-InspectionTool", Kind.SEARCH, "Google"),
    Bot("AdsBot-Google", Kind.SEARCH, "www.google.com/adsbot.html"),
    Bot("Mediapartners-Google", Kind.SEARCH, "Google"),
    Bot("bingbot", Kind.SEARCH, "www.bing.com/bingbot.htm"),
    Bot("adidxbot", Kind.SEARCH, "www.bing.com/bingbot.htm"),
    Bot("BingPreview", Kind.SEARCH, "Microsoft"),
    Bot("YandexBot", Kind.SEARCH, "yandex.com/bots"),
    Bot("YandexImages", Kind.SEARCH, "yandex.com/bots"),
    Bot("Baiduspider", Kind.SEARCH, "www.baidu.com/search/spider.html"),
    Bot("DuckDuckBot", Kind.SEARCH, "duckduckgo.com/duckduckbot.html"),
    Bot("Applebot", Kind.SEARCH, "www.apple.com/go/applebot"),
    Bot("PetalBot", Kind.SEARCH, "webmaster.petalsearch.com/site/petalbot"),
    Bot("SeznamBot", Kind.SEARCH, "Seznam"),
    Bot("Sogou web spider", Kind.SEARCH, "www.sogou.com/docs/help/webmasters.htm"),
    Bot("Yahoo! Slurp", Kind.SEARCH, "help.yahoo.com/help/us/ysearch/slurp"),
    Bot("Qwantbot", Kind.SEARCH, "Qwant"),
    Bot("MojeekBot", Kind.SEARCH, "www.mojeek.com/bot.html"),
    Bot("Yeti/", Kind.SEARCH, "Naver"),
    Bot("GPTBot", Kind.AI, "openai.com/gptbot"),
    Bot("OAI-SearchBot", Kind.AI, "openai.com/searchbot"),
    Bot("ChatGPT-User", Kind.AI, "openai.com/bot"),
    Bot("ClaudeBot", Kind.AI, "Anthropic"),
    Bot("Claude-SearchBot", Kind.AI, "Anthropic"),
    Bot("Claude-User", Kind.AI, "Anthropic"),
    Bot("PerplexityBot", Kind.AI, "perplexity.ai/perplexitybot"),
    Bot("Perplexity-User", Kind.AI, "perplexity.ai/perplexity-user"),
    Bot("CCBot", Kind.AI, "commoncrawl.org/faq"),
    Bot("Bytespider", Kind.AI, "ByteDance"),
    Bot("Amazonbot", Kind.AI, "developer.amazon.com/support/amazonbot"),
    Bot("meta-externalagent", Kind.AI, "developers.facebook.com/docs/sharing/webmasters/crawler"),
    Bot("meta-externalfetcher", Kind.AI, "developers.facebook.com/docs/sharing/webmasters/crawler"),
    Bot("cohere-ai", Kind.AI, "Cohere"),
    Bot("MistralAI-User", Kind.AI, "Mistral AI"),
    Bot("Diffbot", Kind.AI, "Diffbot"),
    Bot("YouBot", Kind.AI, "You.com"),
    Bot("DuckAssistBot", Kind.AI, "DuckDuckGo"),
    Bot("Timpibot", Kind.AI, "Timpi"),
    Bot("ImagesiftBot", Kind.AI, "imagesift.com"),
    Bot("AhrefsBot", Kind.RESEARCH, "ahrefs.com/robot"),
    Bot("AhrefsSiteAudit", Kind.RESEARCH, "ahrefs.com/robot/site-audit"),
    Bot("SemrushBot", Kind.RESEARCH, "www.semrush.com/bot.html"),
    Bot("MJ12bot", Kind.RESEARCH, "mj12bot.com"),
    Bot("DotBot", Kind.RESEARCH, "opensiteexplorer.org/dotbot"),
    Bot("rogerbot", Kind.RESEARCH, "Moz"),
    Bot("BLEXBot", Kind.RESEARCH, "webmeup-crawler.com"),
    Bot("DataForSeoBot", Kind.RESEARCH, "dataforseo.com/dataforseo-bot"),
    Bot("SERankingBacklinksBot", Kind.RESEARCH, "SE Ranking"),
    Bot("Barkrowler", Kind.RESEARCH, "babbar.tech/crawler"),
    Bot("serpstatbot", Kind.RESEARCH, "serpstatbot.com"),
    Bot("ia_archiver", Kind.RESEARCH, "Internet Archive"),
    Bot("archive.org_bot", Kind.RESEARCH, "Internet Archive"),
    Bot("Turnitin", Kind.RESEARCH, "Turnitin"),
    Bot("coccocbot", Kind.SEARCH, "help.coccoc.com/searchengine"),
    Bot("facebookexternalhit", Kind.PREVIEW, "www.facebook.com/externalhit_uatext.php"),
    Bot("facebookcatalog", Kind.PREVIEW, "developers.facebook.com/docs/sharing/webmasters/crawler"),
    Bot("Twitterbot", Kind.PREVIEW, "X"),
    Bot("LinkedInBot", Kind.PREVIEW, "LinkedIn"),
    Bot("Slackbot", Kind.PREVIEW, "api.slack.com/robots"),
    Bot("Slack-ImgProxy", Kind.PREVIEW, "api.slack.com/robots"),
    Bot("Discordbot", Kind.PREVIEW, "discordapp.com"),
    Bot("TelegramBot", Kind.PREVIEW, "Telegram"),
    Bot("WhatsApp/", Kind.PREVIEW, "WhatsApp"),
    Bot("SkypeUriPreview", Kind.PREVIEW, "Microsoft"),
    Bot("Pinterestbot", Kind.PREVIEW, "www.pinterest.com/bot.html"),
    Bot("redditbot", Kind.PREVIEW, "www.reddit.com/feedback"),
    Bot("Iframely", Kind.PREVIEW, "iframely.com/docs/about"),
    Bot("Embedly", Kind.PREVIEW, "Embedly"),
    Bot("Mastodon/", Kind.PREVIEW, "each server's own address"),
    Bot("Synapse (bot;", Kind.PREVIEW, "github.com/matrix-org/synapse"),
    Bot("vkShare", Kind.PREVIEW, "vk.com/dev/Share"),
    Bot("UptimeRobot", Kind.MONITOR, "www.uptimerobot.com"),
    Bot("Uptime-Kuma", Kind.MONITOR, "github.com/louislam/uptime-kuma"),
    Bot("Better Uptime Bot", Kind.MONITOR, "Better Stack"),
    Bot("Pingdom", Kind.MONITOR, "www.pingdom.com"),
    Bot("StatusCake", Kind.MONITOR, "StatusCake"),
    Bot("Site24x7", Kind.MONITOR, "Site24x7"),
    Bot("FreshpingBot", Kind.MONITOR, "Freshworks"),
    Bot("HetrixTools", Kind.MONITOR, "HetrixTools"),
    Bot("updown.io", Kind.MONITOR, "updown.io"),
    Bot("NewRelicPinger", Kind.MONITOR, "New Relic"),
    Bot("Datadog/Synthetics", Kind.MONITOR, "Datadog"),
    Bot("DatadogSynthetics", Kind.MONITOR, "Datadog"),
    Bot("Checkly", Kind.MONITOR, "www.checklyhq.com"),
    Bot("Gatus/", Kind.MONITOR, "github.com/TwiN/gatus"),
    Bot("jetmon/", Kind.MONITOR, "Automattic"),
    Bot("Blackbox Exporter/", Kind.MONITOR, "github.com/prometheus/blackbox_exporter"),
    Bot("Prometheus/", Kind.MONITOR, "github.com/prometheus/prometheus"),
    Bot("check_http/", Kind.MONITOR, "www.monitoring-plugins.org"),
    Bot("check_curl/", Kind.MONITOR, "www.monitoring-plugins.org"),
    Bot("Zabbix", Kind.MONITOR, "www.zabbix.com"),
    Bot("GoogleStackdriverMonitoring-UptimeChecks", Kind.MONITOR, "cloud.google.com/monitoring"),
    Bot("Cloudflare-Healthchecks", Kind.HEALTH, "Cloudflare"),
    Bot("Cloudflare-Traffic-Manager", Kind.HEALTH, "www.cloudflare.com/traffic-manager"),
    Bot("kube-probe/", Kind.HEALTH, "kubernetes.io"),
    Bot("ELB-HealthChecker/", Kind.HEALTH, "Amazon"),
    Bot("Amazon-Route53-Health-Check-Service", Kind.HEALTH, "Amazon"),
    Bot("GoogleHC/", Kind.HEALTH, "Google"),
    Bot("Edge Health Probe", Kind.HEALTH, "Microsoft"),
    Bot("Load Balancer Agent", Kind.HEALTH, "Microsoft"),
    Bot("Envoy/HC", Kind.HEALTH, "www.envoyproxy.io"),
    Bot("Consul Health Check", Kind.HEALTH, "www.consul.io"),
    Bot("CensysInspect", Kind.SCANNER, "about.censys.io"),
    Bot("Expanse, a Palo Alto Networks company", Kind.SCANNER, "Palo Alto Networks"),
    Bot("InternetMeasurement/", Kind.SCANNER, "internet-measurement.com"),
    Bot("NetSystemsResearch", Kind.SCANNER, "www.netsystemsresearch.com"),
    Bot("zgrab/", Kind.SCANNER, "github.com/zmap/zgrab2"),
    Bot("masscan", Kind.SCANNER, "github.com/robertdavidgraham/masscan"),
    Bot("Nmap Scripting Engine", Kind.SCANNER, "nmap.org/book/nse.html"),
    Bot("Nuclei", Kind.SCANNER, "github.com/projectdiscovery/nuclei"),
    Bot("Nikto", Kind.SCANNER, "cirt.net"),
    Bot("sqlmap/", Kind.SCANNER, "sqlmap.org"),
    Bot("l9explore/", Kind.SCANNER, "leakix.net"),
    Bot("l9tcpid/", Kind.SCANNER, "leakix.net"),
    Bot("OdinScanner", Kind.SCANNER, "docs.getodin.com"),
    Bot("ModatScanner", Kind.SCANNER, "modat.io"),
    Bot("WPScan", Kind.SCANNER, "wpscan.com"),
)
"""All of them.  Add one with where its name is from; a test holds names apart and short."""

_TOKENS = tuple((bot.token.lower(), bot.token.rstrip("/")) for bot in BOTS)


@lru_cache(maxsize=1024)
def known_bot(agent: str) -> str | None:
    """The name of the program that calls itself so; None for anybody else.

    Remembers the last answers: the same few user agents come again and again.
    """
    lower = agent.lower()
    return next((name for token, name in _TOKENS if token in lower), None)
