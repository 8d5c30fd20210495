from ranking.cli import main

main(prog_name="python -m ranking")
