"""Words that every layer speaks: JIDs, errors, time, ids and limits."""
