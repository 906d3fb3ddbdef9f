"""What every view of the API has in common: limits, and repeats that are safe."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, NoReturn, cast

from django.http import HttpResponseBase
from rest_framework import status
from rest_framework.exceptions import Throttled
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from platforms.idempotency import REPLAYED_HEADER, answer_once, read_key
from platforms.limits import Bucket, LimitState, find_limits, give_back, take
from platforms.models import Platform


class PlatformThrottle(BaseThrottle):
    """Takes one from each allowance that a request needs, across all processes."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        platform_view = cast(PlatformView, view)
        read_or_write = Bucket.READS if request.method in SAFE_METHODS else Bucket.WRITES
        makes = platform_view.makes.get(request.method or "")
        buckets = [read_or_write, makes] if makes else [read_or_write]
        platform = platform_of(request)
        self.limits = take(platform_id=platform.pk, limits=find_limits(platform=platform, buckets=buckets))
        platform_view.limits = self.limits
        return all(state.granted for state in self.limits)

    def wait(self) -> int:
        return max(state.reset_seconds for state in self.limits if not state.granted)


class PlatformView(APIView):
    """A view of the API, first among its bases: what a platform calls, with its key and within its limits."""

    throttle_classes = (PlatformThrottle,)
    # OPTIONS has nothing to say that the OpenAPI document does not.
    metadata_class = None
    # What a method makes that is limited too, apart from reads and writes.
    makes: ClassVar[Mapping[str, Bucket]] = {}
    # What is left of each limit, once the request was let in or refused.
    limits: Sequence[LimitState] = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        key = read_key(request)
        name = (request.method or "").lower()
        handler = getattr(self, name, None)
        if key and handler:
            # APIView.dispatch looks the handler up by its name, after this and on this instance.
            setattr(self, name, partial(self._answer_once, key, handler))

    def prepare(self, request: Request) -> None:
        """Do, before a request with an Idempotency-Key begins a transaction, what would hold it open for long."""

    def throttled(self, request: Request, wait: float) -> NoReturn:
        refused = next(state.limit for state in self.limits if not state.granted)
        per = "day" if refused.bucket is Bucket.CHATS else "minute"
        what = "new chats" if refused.bucket is Bucket.CHATS else refused.bucket
        raise Throttled(wait, detail=f"This platform may have {refused.quota} {what} a {per}. Wait, then repeat this.")

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        if not _made_something(response):
            self.limits = [self._give_back(each) for each in self.limits]
        finalized = super().finalize_response(request, response, *args, **kwargs)
        if self.limits:
            finalized["RateLimit-Policy"] = ", ".join(_describe_policy(each) for each in self.limits)
            finalized["RateLimit"] = ", ".join(_describe_rest(each) for each in self.limits)
        return finalized

    def _give_back(self, state: LimitState) -> LimitState:
        """Whether it is repeated or refused, a request that makes nothing is a request all the same."""
        if state.granted and state.limit.bucket in self.makes.values():
            return give_back(platform_id=platform_of(self.request).pk, state=state)
        return state

    def _answer_once(self, key: str, handler: Any, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return answer_once(
            platform_id=platform_of(request).pk,
            key=key,
            request=request,
            prepare=partial(self.prepare, request),
            answer=partial(handler, request, *args, **kwargs),
        )


def platform_of(request: Request) -> Platform:
    """The platform whose API key the request carries; throttles and handlers are asked after ``IsAuthenticated``."""
    return cast(Platform, request.user)


def _made_something(response: HttpResponseBase) -> bool:
    return response.status_code == status.HTTP_201_CREATED and REPLAYED_HEADER not in response.headers


# https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/ (draft 10)
def _describe_policy(state: LimitState) -> str:
    limit = state.limit
    return f'"{limit.bucket}";q={limit.quota};w={limit.window.total_seconds():.0f}'


def _describe_rest(state: LimitState) -> str:
    return f'"{state.limit.bucket}";r={state.remaining};t={state.reset_seconds}'
