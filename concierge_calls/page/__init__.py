"""One run as a page to look at, the same whether a server shows it live or it is kept as a file."""

from concierge_calls.page.run import kept_page

__all__ = ["kept_page"]
