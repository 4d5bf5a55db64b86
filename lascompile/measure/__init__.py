"""Fill the latency table: measure kernels for their own sake, by every algorithm, at several activation rates.

The way through, and the files in their order:

```
kernels_of_network(file)   kernels                what a network runs, under which masks, and what without them
plan_cells(kernels)        cells, groups          by which decisions and at which rates; what is measured together
Measurer.run()             measurer, progress     build a group, check it, visit it several times, write its rows
  Visitor.check()          lascompile.tune        once a library: its output is compared with the reference
  Visitor.visit()          visitor, rounds        one pass: all cells of a group in turns, in short blocks of timed runs
  latency_of(passes)       passes                 what counts of several passes, and whether another one is needed
  LatencyTable.append()    lascompile.latency     the rows of a group, as soon as it is finished
compare()                  again                  rows that were measured a second time
```
"""
