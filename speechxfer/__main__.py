"""`python -m speechxfer` is the command `speechxfer`; launchers of several processes start it this way."""

from speechxfer.cli import main

main()
