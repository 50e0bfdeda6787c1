"""The records that travel down the chain: frozen, canonical, each naming the digests of its parents.

`raw_batch -> validated_data -> candidate_model -> eval_report -> decision -> deployed_version | quarantine`
exchange nothing but these. Bytes (audio, weights, reports) live in the artifact store under their sha256,
and a record refers to them by that digest; so lineage is a chain anyone can check with a text editor.
"""
