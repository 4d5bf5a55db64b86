"""Tune a network's kernels for a device: find out which schedules are fastest where they will run.

The way through, and the files in their order:

```
tasks_of_graph(graph)    tasks                              what to tune, how often it runs, on which masks
Tuner.run()              tuner, allocation                  which task gets the next trials, until the budget is spent
  Search.propose()       search, genome                      MetaSchedule: evolutionary search, xgboost cost model
  Builder.build()        builder                            machine code as `build` makes it
  measure()              runner, trial, problem             on this machine or a fleet: check the output, then time
  RecordStore.append()   lascompile.records                 each trial, failed ones too, before the next one starts
```
"""
