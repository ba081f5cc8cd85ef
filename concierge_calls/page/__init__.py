"""One run as a page to look at, the same whether a server shows it live or it is kept as a file."""

from concierge_calls.page.run import kept_page
from concierge_calls.page.served import Listed, home_page, live_page, missing_page, policy, token_page

__all__ = ["Listed", "home_page", "kept_page", "live_page", "missing_page", "policy", "token_page"]
