"""How an identity number is kept: encrypted, with a keyed hash to find it by."""

from messaging import vault
from voucher.identity import normal_identity_number


def identity_columns(identity_number: str) -> tuple[bytes, str]:
    """`identity_cipher` and `identity_hash` of a member with this number.

    The hash is the same every time, the cipher text is not: compare hashes only.
    """
    number = normal_identity_number(identity_number)
    data_key = vault.data_key_from_settings()
    return (
        vault.seal(number.encode(), purpose="identity", data_key=data_key),
        vault.search_hash(number, purpose="identity", data_key=data_key),
    )
