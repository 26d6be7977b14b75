# What the shells offer behind "pgoutboxctl".
if WITH_BASH_COMPLETION
dist_bashcompletion_DATA = completions/pgoutboxctl
endif
if WITH_ZSH_COMPLETION
dist_zshcompletion_DATA = completions/_pgoutboxctl
endif
EXTRA_DIST += completions/_pgoutboxctl completions/pgoutboxctl
