"""A device that holds passkeys, in software: answers the options of the pages as a browser does (WebAuthn, 6)."""

import hashlib
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

PRESENT, VERIFIED, ATTESTED, EXTENDED = 0x01, 0x04, 0x40, 0x80


class Device:
    """`verifies`: it asks for fingerprint, face or PIN. `counts`: it reports how often each passkey was used."""

    def __init__(self, origin: str, verifies: bool = True, counts: bool = True):
        self.origin = origin
        self.verifies = verifies
        self.counts = counts
        self.keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self.handles: dict[str, str] = {}
        self.used = 0
        self.next_id: bytes | None = None  # of a passkey that exists
        self.extensions = b""  # CBOR behind the data that it signs

    def create(self, options: str) -> str:
        """Make a passkey; return the answer in JSON."""
        asked = json.loads(options)
        key, credential_id = ec.generate_private_key(ec.SECP256R1()), self.next_id or secrets.token_bytes(16)
        name = _text(credential_id)
        self.keys[name], self.handles[name] = key, asked["user"]["id"]
        point = key.public_key().public_numbers()
        cose = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")})
        attested = bytes(16) + len(credential_id).to_bytes(2, "big") + credential_id + cose
        data = self._data(asked["rp"]["id"], ATTESTED) + attested + self.extensions
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        client = self._client("webauthn.create", asked["challenge"])
        return _answer(name, {"clientDataJSON": _text(client), "attestationObject": _text(attestation)})

    def get(self, options: str, passkey: str | None = None, **changed: str) -> str:
        """Answer with this passkey or the newest; return the answer in JSON. `changed`: fields of the response."""
        asked = json.loads(options)
        name = passkey or list(self.keys)[-1]
        self.used += 1
        data = self._data(asked["rpId"]) + self.extensions
        client = self._client("webauthn.get", asked["challenge"])
        signed = self.keys[name].sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        response = {"clientDataJSON": _text(client), "authenticatorData": _text(data), "signature": _text(signed)}
        return _answer(name, {**response, "userHandle": self.handles[name], **changed})

    def _data(self, host: str, flags: int = 0) -> bytes:
        flags |= PRESENT | (VERIFIED if self.verifies else 0) | (EXTENDED if self.extensions else 0)
        count = self.used if self.counts else 0
        return hashlib.sha256(host.encode()).digest() + bytes([flags]) + count.to_bytes(4, "big")

    def _client(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin}).encode()


def decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "==")


def _text(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def _answer(credential_id: str, response: dict[str, str]) -> str:
    return json.dumps({"id": credential_id, "rawId": credential_id, "type": "public-key", "response": response})
