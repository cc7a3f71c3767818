"""What AWS refuses is said with what helps."""

from __future__ import annotations

import pytest

from lensctl.emr import service
from lensctl.rules.errors import InputError, ServiceError


@pytest.mark.parametrize(
    ("code", "message", "kind", "fix"),
    [  # moto has no quotas and no rights: these are AWS's own words
        ("ValidationException", "You have exceeded your EC2 vCPU quota.", ServiceError, "fewer --nodes"),
        ("InstanceLimitExceeded", "Your quota allows for 0 more running instance(s).", ServiceError, "raise the quota"),
        (
            "AccessDeniedException",
            "User is not authorized to perform: RunJobFlow",
            ServiceError,
            "lacks this permission",
        ),
        ("ExpiredTokenException", "The security token included in the request is expired", ServiceError, "not valid"),
        ("ThrottlingException", "Rate exceeded", ServiceError, "wait a minute"),
        ("InvalidRequestException", "Cluster id 'j-1' is not valid.", InputError, "lensctl emr list"),
    ],
)
def test_each_refusal_of_aws_says_what_helps(code, message, kind, fix):
    error = service.refusal("EMR", {"Code": code, "Message": message})
    assert (type(error), fix in error.fix) == (kind, True), (error, error.fix)
    assert message in str(error)
