"""Opens a recording: with our key at Vapi, and without it at the storage that Vapi leads to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import httpx

from concierge_calls.errors import ReadFailed, ReadRefused
from concierge_calls.vapi.wire import safe_address

PATIENCE: Final = 30.0  # seconds until the answer begins
STEPS: Final = 3  # from Vapi to the sound itself


async def opened(
    http: httpx.AsyncClient, key: str, base_url: str, address: str, headers: Mapping[str, str]
) -> httpx.Response:
    """Return the open answer that has the sound; raises ReadFailed, and ReadRefused with the HTTP status of a no."""
    if not address.startswith(f"{base_url}/"):
        raise ReadRefused("This recording lies at another Vapi than VAPI_BASE_URL names, so our key is not sent there.")
    try:
        async with asyncio.timeout(PATIENCE):
            return await _followed(http, httpx.URL(address), {**headers, "Authorization": f"Bearer {key}"}, headers)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise ReadFailed(
            f"The recording could not be fetched from Vapi ({type(error).__name__}); try again."
        ) from error


async def _followed(
    http: httpx.AsyncClient, url: httpx.URL, first: Mapping[str, str], others: Mapping[str, str]
) -> httpx.Response:
    sent = first
    for _ in range(STEPS):
        response = await http.send(http.build_request("GET", url, headers=sent), stream=True)
        if response.is_success:
            return response
        await response.aclose()
        if not response.has_redirect_location:
            raise _refused(response.status_code)
        url, sent = safe_address(str(url.join(response.headers["location"]))), others
    raise ReadFailed("Vapi led from one place to the next and to no recording; try again.")


def _refused(status: int) -> ReadFailed:
    if status in (404, 410):
        return ReadRefused("Vapi has no such recording any more.", status)
    return ReadFailed(f"The recording could not be fetched from Vapi (HTTP {status}); try again.")
