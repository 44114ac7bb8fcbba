"""An issuer of tokens, by joserfc: prints its keys and tokens, good and hostile ones, as JSON.

Usage: openid.py NOW, seconds since 1970. `new` is a second set of keys, after the issuer rolled over.
"""

import base64
import hashlib
import hmac
import json
import sys

from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

NOW = int(sys.argv[1])
ISSUER = "https://login.example/realm"
ALGORITHMS = ["RS256", "RS384", "PS256", "ES256", "ES384", "HS256"]


def key(kind, size, kid):
    made = {"RSA": RSAKey, "EC": ECKey}[kind].generate_key(size, {"kid": kid, "use": "sig"})
    return made


def claims(**changed):
    claims = {
        "iss": ISSUER,
        "aud": "kintsugi-home",
        "sub": "ada-7",
        "iat": NOW,
        "exp": NOW + 600,
        "groups": ["everybody", "releasers"],
        "realm": {"roles": ["boss"]},
    }
    claims.update(changed)
    return {name: value for name, value in claims.items() if value is not None}


def token(key, algorithm, body=None, **header):
    protected = {"alg": algorithm, "typ": "JWT", "kid": key.kid, **header}
    protected = {name: value for name, value in protected.items() if value is not None}
    registry = jws.JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
    text = json.dumps(claims() if body is None else body)
    return jws.serialize_compact(protected, text, key, registry=registry)


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def swapped(old, **changed):
    """The same signature over other claims."""
    header, _, signature = old.split(".")
    return f"{header}.{part(claims(**changed))}.{signature}"


def mac(secret):
    """HS256 under the public key as its secret; by hand, since joserfc refuses to make it."""
    text = f"{part({'alg': 'HS256', 'kid': 'r1'})}.{part(claims())}"
    digest = hmac.new(secret, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


rsa, p256, p384 = key("RSA", 2048, "r1"), key("EC", "P-256", "e1"), key("EC", "P-384", "e2")
weak = RSAKey.generate_key(1024, {"kid": "weak", "use": "sig"})
thief_rsa, thief_p256 = key("RSA", 2048, "r1"), key("EC", "P-256", "e1")
rolled = key("EC", "P-256", "e9")
encryption = RSAKey.generate_key(2048, {"kid": "enc", "use": "enc"})
# The same key, as a thief of it would use it.
misused = RSAKey.import_key({**encryption.as_dict(private=True), "use": "sig"})
public = [it.as_dict(private=False) for it in (rsa, p256, p384, weak, encryption)]
pem = rsa.as_pem(private=False)
good = token(rsa, "RS256")

print(json.dumps({
    "keys": {"keys": public},
    "new": {"keys": public + [rolled.as_dict(private=False)]},
    "taken": {
        "RS256": good,
        "ES256": token(p256, "ES256"),
        "ES384": token(p384, "ES384"),
        "an access token": token(rsa, "RS256", typ="at+jwt"),
        "no typ": token(rsa, "RS256", typ=None),
        "several audiences": token(rsa, "RS256", claims(aud=["account", "kintsugi-home"])),
        "one group as text": token(rsa, "RS256", claims(groups="releasers")),
        "skewed clocks": token(rsa, "RS256", claims(iat=NOW + 50, nbf=NOW + 50, exp=NOW + 600)),
    },
    "rolled": token(rolled, "ES256"),
    "named": token(rsa, "RS256", claims(jti="token-1")),
    "refused": {
        "jws.algorithm": [
            f"{part({'alg': 'none', 'kid': 'r1'})}.{part(claims())}.",
            mac(pem),
            token(rsa, "RS384"),
            token(rsa, "PS256"),
        ],
        "jws.unknown_key": [
            token(p256, "ES256", kid="r1"),
            token(rsa, "RS256", kid="e1"),
            token(p384, "ES384", kid="e1"),
            token(rsa, "RS256", kid=None),
            token(rsa, "RS256", kid="nobody"),
            token(misused, "RS256"),
        ],
        "jws.signature": [
            token(thief_rsa, "RS256"),
            token(thief_p256, "ES256"),
            token(thief_rsa, "RS256", jwk=thief_rsa.as_dict(private=False)),
            token(thief_rsa, "RS256", jku="https://thief.example/keys"),
            token(thief_rsa, "RS256", x5u="https://thief.example/certificate"),
            token(weak, "RS256"),
            swapped(good, sub="eve"),
            good[:-2],
        ],
        "jws.critical": [token(rsa, "RS256", crit=["b64"], b64=True)],
        "token.issuer": [
            token(rsa, "RS256", claims(iss="https://thief.example")),
            token(rsa, "RS256", claims(iss=ISSUER + "/")),
        ],
        "token.audience": [
            token(rsa, "RS256", claims(aud="another")),
            token(rsa, "RS256", claims(aud=["another"])),
            token(rsa, "RS256", claims(aud=None)),
        ],
        "token.expired": [token(rsa, "RS256", claims(iat=NOW - 700, exp=NOW - 60))],
        "token.not_yet": [
            token(rsa, "RS256", claims(iat=NOW + 61)),
            token(rsa, "RS256", claims(nbf=NOW + 61)),
        ],
        "token.life": [token(rsa, "RS256", claims(exp=NOW + 91 * 86_400))],
        "token.no_role": [
            token(rsa, "RS256", claims(groups=["everybody"])),
            token(rsa, "RS256", claims(groups=None)),
            token(rsa, "RS256", claims(groups={"releasers": True})),
        ],
        "jws.claims": [
            token(rsa, "RS256", claims(exp=None)),
            token(rsa, "RS256", claims(iat=None)),
            token(rsa, "RS256", claims(sub=None)),
            token(rsa, "RS256", claims(sub="")),
            token(rsa, "RS256", claims(iss=None)),
        ],
        "jws.malformed": [good + ".x", good.replace(".", "", 1), "x.y.z", ""],
    },
}))
