"""The options of the place where octets of files are."""

from typing import Annotated

import msgspec
from msgspec import Meta

from tidings.app.acme_options import FilePath


class FilesOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where the octets of files are that people upload: in a directory, or in a bucket that speaks S3.

    A bucket needs the Python packages of `tidings[s3]`.
    """

    directory: Annotated[
        FilePath,
        Meta(description="Directory for them, made when missing. Empty: `files` in `data_dir`."),
    ] = ""
    s3_bucket: Annotated[
        str,
        Meta(description="Bucket for them, in place of a directory. It is not made: make it before."),
    ] = ""
    s3_endpoint: Annotated[
        str,
        Meta(
            description="Address of the object storage, such as `https://s3.example.org`. Empty: "
            "Amazon's, of `s3_region`."
        ),
    ] = ""
    s3_region: Annotated[
        str,
        Meta(description="Region of the bucket. Empty: what the machine has for Amazon's own tools."),
    ] = ""
    s3_prefix: Annotated[
        str,
        Meta(
            description="What the names of all objects begin with, such as `tidings/`, where the bucket has "
            "others, too."
        ),
    ] = ""
    s3_access_key: Annotated[
        str,
        Meta(
            description="Id of the key with which the server asks. Empty: a key that the machine has for "
            "Amazon's own tools (environment, file or role)."
        ),
    ] = ""
    s3_secret_key: Annotated[str, Meta(extra={"secret": True}, description="The secret of the key.")] = ""
    s3_secret_key_file: Annotated[
        FilePath,
        Meta(description="File with the secret as its only line, in place of `s3_secret_key`."),
    ] = ""
    s3_waiting_bytes: Annotated[
        int,
        Meta(
            description="How much may wait in memory for the bucket, of all uploads together, each of which "
            "takes up to 5 MiB; what comes when there is more is refused with 503.",
            ge=8_388_608,
        ),
    ] = 268_435_456
