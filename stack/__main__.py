from stack.cli import main

main(prog_name="python -m stack")
