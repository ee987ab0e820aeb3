"""Traffic from a description: a scenario says who comes when, a behaviour what each of them does.

    scenario.py    the TOML, typed; who starts and stops when
    steps.py       what a behaviour may ask for, as values
    behaviours.py  scripts (generators) of listener, talker, gifter, admin ...: no I/O, no clock, no loop
    world.py       the rooms, tokens and money a scenario needs, made over REST before it starts
    player.py      plays one user's script, on asyncio or gevent
    observing.py   what is noted while a user plays
    watching.py    what server and load process use meanwhile
    run.py         a whole scenario in this process
    command.py     the command line, and the way to locust's workers

`loadtests/locustfile.py` plays the same scenarios on gevent, in several processes.
"""
