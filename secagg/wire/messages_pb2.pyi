from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SessionOffer(_message.Message):
    __slots__ = ("parameters",)
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    parameters: bytes
    def __init__(self, parameters: _Optional[bytes] = ...) -> None: ...

class Envelope(_message.Message):
    __slots__ = ("session", "advertise_keys_request", "advertise_keys_response", "share_keys_request", "share_keys_response", "masked_input_collection_request", "masked_input_collection_response", "consistency_check_request", "consistency_check_response", "unmasking_request", "unmasking_response", "abort", "chosen_input_response", "complaint", "disclosure_request", "disclosure_response")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    ADVERTISE_KEYS_REQUEST_FIELD_NUMBER: _ClassVar[int]
    ADVERTISE_KEYS_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    SHARE_KEYS_REQUEST_FIELD_NUMBER: _ClassVar[int]
    SHARE_KEYS_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    MASKED_INPUT_COLLECTION_REQUEST_FIELD_NUMBER: _ClassVar[int]
    MASKED_INPUT_COLLECTION_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_CHECK_REQUEST_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_CHECK_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    UNMASKING_REQUEST_FIELD_NUMBER: _ClassVar[int]
    UNMASKING_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ABORT_FIELD_NUMBER: _ClassVar[int]
    CHOSEN_INPUT_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    COMPLAINT_FIELD_NUMBER: _ClassVar[int]
    DISCLOSURE_REQUEST_FIELD_NUMBER: _ClassVar[int]
    DISCLOSURE_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    session: bytes
    advertise_keys_request: AdvertiseKeysRequest
    advertise_keys_response: AdvertiseKeysResponse
    share_keys_request: ShareKeysRequest
    share_keys_response: ShareKeysResponse
    masked_input_collection_request: MaskedInputCollectionRequest
    masked_input_collection_response: MaskedInputCollectionResponse
    consistency_check_request: ConsistencyCheckRequest
    consistency_check_response: ConsistencyCheckResponse
    unmasking_request: UnmaskingRequest
    unmasking_response: UnmaskingResponse
    abort: Abort
    chosen_input_response: ChosenInputResponse
    complaint: Complaint
    disclosure_request: DisclosureRequest
    disclosure_response: DisclosureResponse
    def __init__(self, session: _Optional[bytes] = ..., advertise_keys_request: _Optional[_Union[AdvertiseKeysRequest, _Mapping]] = ..., advertise_keys_response: _Optional[_Union[AdvertiseKeysResponse, _Mapping]] = ..., share_keys_request: _Optional[_Union[ShareKeysRequest, _Mapping]] = ..., share_keys_response: _Optional[_Union[ShareKeysResponse, _Mapping]] = ..., masked_input_collection_request: _Optional[_Union[MaskedInputCollectionRequest, _Mapping]] = ..., masked_input_collection_response: _Optional[_Union[MaskedInputCollectionResponse, _Mapping]] = ..., consistency_check_request: _Optional[_Union[ConsistencyCheckRequest, _Mapping]] = ..., consistency_check_response: _Optional[_Union[ConsistencyCheckResponse, _Mapping]] = ..., unmasking_request: _Optional[_Union[UnmaskingRequest, _Mapping]] = ..., unmasking_response: _Optional[_Union[UnmaskingResponse, _Mapping]] = ..., abort: _Optional[_Union[Abort, _Mapping]] = ..., chosen_input_response: _Optional[_Union[ChosenInputResponse, _Mapping]] = ..., complaint: _Optional[_Union[Complaint, _Mapping]] = ..., disclosure_request: _Optional[_Union[DisclosureRequest, _Mapping]] = ..., disclosure_response: _Optional[_Union[DisclosureResponse, _Mapping]] = ...) -> None: ...

class Advertisement(_message.Message):
    __slots__ = ("client", "channel_public", "mask_public", "commitment", "signature")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_PUBLIC_FIELD_NUMBER: _ClassVar[int]
    MASK_PUBLIC_FIELD_NUMBER: _ClassVar[int]
    COMMITMENT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    client: int
    channel_public: bytes
    mask_public: bytes
    commitment: bytes
    signature: bytes
    def __init__(self, client: _Optional[int] = ..., channel_public: _Optional[bytes] = ..., mask_public: _Optional[bytes] = ..., commitment: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class AdvertiseKeysRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AdvertiseKeysResponse(_message.Message):
    __slots__ = ("advertisement", "holders")
    ADVERTISEMENT_FIELD_NUMBER: _ClassVar[int]
    HOLDERS_FIELD_NUMBER: _ClassVar[int]
    advertisement: Advertisement
    holders: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, advertisement: _Optional[_Union[Advertisement, _Mapping]] = ..., holders: _Optional[_Iterable[int]] = ...) -> None: ...

class ShareKeysRequest(_message.Message):
    __slots__ = ("advertisements",)
    ADVERTISEMENTS_FIELD_NUMBER: _ClassVar[int]
    advertisements: _containers.RepeatedCompositeFieldContainer[Advertisement]
    def __init__(self, advertisements: _Optional[_Iterable[_Union[Advertisement, _Mapping]]] = ...) -> None: ...

class SealedShares(_message.Message):
    __slots__ = ("client", "ciphertext")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    CIPHERTEXT_FIELD_NUMBER: _ClassVar[int]
    client: int
    ciphertext: bytes
    def __init__(self, client: _Optional[int] = ..., ciphertext: _Optional[bytes] = ...) -> None: ...

class ShareKeysResponse(_message.Message):
    __slots__ = ("ciphertexts", "signature")
    CIPHERTEXTS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    ciphertexts: _containers.RepeatedCompositeFieldContainer[SealedShares]
    signature: bytes
    def __init__(self, ciphertexts: _Optional[_Iterable[_Union[SealedShares, _Mapping]]] = ..., signature: _Optional[bytes] = ...) -> None: ...

class MaskedInputCollectionRequest(_message.Message):
    __slots__ = ("ciphertexts", "sharers")
    CIPHERTEXTS_FIELD_NUMBER: _ClassVar[int]
    SHARERS_FIELD_NUMBER: _ClassVar[int]
    ciphertexts: _containers.RepeatedCompositeFieldContainer[SealedShares]
    sharers: bytes
    def __init__(self, ciphertexts: _Optional[_Iterable[_Union[SealedShares, _Mapping]]] = ..., sharers: _Optional[bytes] = ...) -> None: ...

class MaskedInputCollectionResponse(_message.Message):
    __slots__ = ("payload",)
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    payload: bytes
    def __init__(self, payload: _Optional[bytes] = ...) -> None: ...

class ChosenInputResponse(_message.Message):
    __slots__ = ("inclusion", "payload")
    INCLUSION_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    inclusion: bytes
    payload: bytes
    def __init__(self, inclusion: _Optional[bytes] = ..., payload: _Optional[bytes] = ...) -> None: ...

class ConsistencyCheckRequest(_message.Message):
    __slots__ = ("contributors", "contributor_set", "inclusions")
    CONTRIBUTORS_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTOR_SET_FIELD_NUMBER: _ClassVar[int]
    INCLUSIONS_FIELD_NUMBER: _ClassVar[int]
    contributors: _containers.RepeatedScalarFieldContainer[int]
    contributor_set: bytes
    inclusions: _containers.RepeatedCompositeFieldContainer[Confirmation]
    def __init__(self, contributors: _Optional[_Iterable[int]] = ..., contributor_set: _Optional[bytes] = ..., inclusions: _Optional[_Iterable[_Union[Confirmation, _Mapping]]] = ...) -> None: ...

class ConsistencyCheckResponse(_message.Message):
    __slots__ = ("signature",)
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    signature: bytes
    def __init__(self, signature: _Optional[bytes] = ...) -> None: ...

class Confirmation(_message.Message):
    __slots__ = ("client", "signature")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    client: int
    signature: bytes
    def __init__(self, client: _Optional[int] = ..., signature: _Optional[bytes] = ...) -> None: ...

class UnmaskingRequest(_message.Message):
    __slots__ = ("survivors", "dropped", "confirmations")
    SURVIVORS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    CONFIRMATIONS_FIELD_NUMBER: _ClassVar[int]
    survivors: _containers.RepeatedScalarFieldContainer[int]
    dropped: _containers.RepeatedScalarFieldContainer[int]
    confirmations: _containers.RepeatedCompositeFieldContainer[Confirmation]
    def __init__(self, survivors: _Optional[_Iterable[int]] = ..., dropped: _Optional[_Iterable[int]] = ..., confirmations: _Optional[_Iterable[_Union[Confirmation, _Mapping]]] = ...) -> None: ...

class RevealedShare(_message.Message):
    __slots__ = ("owner", "share")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    owner: int
    share: bytes
    def __init__(self, owner: _Optional[int] = ..., share: _Optional[bytes] = ...) -> None: ...

class UnmaskingResponse(_message.Message):
    __slots__ = ("seed_shares", "mask_key_shares")
    SEED_SHARES_FIELD_NUMBER: _ClassVar[int]
    MASK_KEY_SHARES_FIELD_NUMBER: _ClassVar[int]
    seed_shares: _containers.RepeatedCompositeFieldContainer[RevealedShare]
    mask_key_shares: _containers.RepeatedCompositeFieldContainer[RevealedShare]
    def __init__(self, seed_shares: _Optional[_Iterable[_Union[RevealedShare, _Mapping]]] = ..., mask_key_shares: _Optional[_Iterable[_Union[RevealedShare, _Mapping]]] = ...) -> None: ...

class Abort(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Complaint(_message.Message):
    __slots__ = ("accused",)
    ACCUSED_FIELD_NUMBER: _ClassVar[int]
    accused: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, accused: _Optional[_Iterable[int]] = ...) -> None: ...

class Dealing(_message.Message):
    __slots__ = ("client", "block", "digests", "signature")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    BLOCK_FIELD_NUMBER: _ClassVar[int]
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    client: int
    block: bytes
    digests: bytes
    signature: bytes
    def __init__(self, client: _Optional[int] = ..., block: _Optional[bytes] = ..., digests: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class DisclosureRequest(_message.Message):
    __slots__ = ("dealings",)
    DEALINGS_FIELD_NUMBER: _ClassVar[int]
    dealings: _containers.RepeatedCompositeFieldContainer[Dealing]
    def __init__(self, dealings: _Optional[_Iterable[_Union[Dealing, _Mapping]]] = ...) -> None: ...

class Disclosure(_message.Message):
    __slots__ = ("client", "proof")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    client: int
    proof: bytes
    def __init__(self, client: _Optional[int] = ..., proof: _Optional[bytes] = ...) -> None: ...

class DisclosureResponse(_message.Message):
    __slots__ = ("disclosures",)
    DISCLOSURES_FIELD_NUMBER: _ClassVar[int]
    disclosures: _containers.RepeatedCompositeFieldContainer[Disclosure]
    def __init__(self, disclosures: _Optional[_Iterable[_Union[Disclosure, _Mapping]]] = ...) -> None: ...
