"""What `tidings check` finds out about the place of uploaded files."""

from __future__ import annotations

from tidings.app.finding import Finding
from tidings.app.options import Config
from tidings.app.uploads import open_files_bucket
from tidings.base.errors import BackendError


async def bucket(config: Config) -> list[Finding]:
    """Tell whether the bucket answers, where there is one; a directory is made when the first file comes."""
    files = config.files
    if not files.s3_bucket:
        return []
    subject, name = "files", files.s3_bucket
    try:
        async with open_files_bucket(config) as opened:
            await opened.check()
    except BackendError as error:
        mend = "compare `s3_bucket`, `s3_endpoint`, `s3_region` and the key in [files]; make the bucket"
        return [Finding(status="fail", subject=subject, text=str(error), mend=mend)]
    where = files.s3_endpoint or "Amazon S3"
    return [Finding(status="ok", subject=subject, text=f"the bucket {name} at {where} answers")]
