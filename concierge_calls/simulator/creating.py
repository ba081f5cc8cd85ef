"""`POST /call`: checks, refusals, the faults around a create, and the call itself."""

from collections import Counter
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from concierge_calls.simulator import replies, validation
from concierge_calls.simulator.account import Account, NoLineError
from concierge_calls.simulator.chance import draw
from concierge_calls.simulator.shapes import shown

_DAILY_LIMIT: Final = (
    "Couldn't Start Call. Numbers Bought On Vapi Have A Daily Outbound Call Limit. "
    "Import Your Own Twilio Numbers To Scale Without Limits."
)
_NO_CREDIT: Final = "Couldn't Start Call. Your Wallet Balance Is Too Low. Add Credits To Continue."


class Creating:
    """Answers creates; it remembers how often each number was asked for, so that a fault need not strike again."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._asked: Counter[str] = Counter()

    async def answer(self, request: Request) -> Response:
        """Answer one create."""
        try:
            body = await request.json()
        except ValueError:
            return replies.nest(400, "Unexpected token in JSON at position 0")
        if reply := self._refusal(body):
            return reply
        fault = self._fault(body["customer"].get("number", ""))
        if fault == "before":
            return replies.failure(503, html=self.account.options.html_errors)
        return self._dial(request, body, fault)

    def _refusal(self, body: Any) -> Response | None:
        if faults := validation.create_faults(body):
            return replies.nest(400, faults)
        sentences: dict[str | None, str | list[str]] = {
            "number": f"`phoneNumber` `{body.get('phoneNumberId')}` does not exist.",
            "assistant": f"`assistant` `{body.get('assistantId')}` does not exist.",
            "credits": _NO_CREDIT,
            "daily-limit": _DAILY_LIMIT,
            "body": ["property x should not exist"],
        }
        sentence = sentences.get(self.account.options.refuse)
        return replies.nest(400, sentence) if sentence else None

    def _fault(self, number: str) -> str | None:
        options = self.account.options
        self._asked[number] += 1
        chance = draw(options.seed, number, "fault", self._asked[number]).random()
        shares = {"before": options.fail_before, "after": options.fail_after, "lost": options.lose_replies}
        for name, share in shares.items():
            if chance < share:
                return name
            chance -= share
        return None

    def _dial(self, request: Request, body: dict[str, Any], fault: str | None) -> Response:
        options = self.account.options
        try:
            call = self.account.create(body)
        except NoLineError:
            return replies.too_many() if options.lines_shape == "429" else _over_the_limit()
        if fault == "lost":
            return replies.LostReply()
        if fault == "after":
            return replies.failure(500, html=options.html_errors)
        return JSONResponse(shown(call, call.created, str(request.base_url).rstrip("/")), 201)


def _over_the_limit() -> JSONResponse:
    return JSONResponse({"error": "Over Concurrency Limit"}, 400)
