"""The road from a trained Keras model to a model repository, in stages.

`road` is the map: the stages, what each needs, and who is due. `stage` says when a stage must be made again, and
publishes what it makes. `stages/` holds one file for each. The rest is what several stages share: `settings`,
`images`, `variants` (the files that a model becomes, and how far each may stray from Keras), `runners` (how each is
run) and `conversion` (the check that stops a wrong one).
"""
