"""What DuckDB spends on the semi-join and the group-by that the RED part of facts stands for.

Called by the benchmark `read` with a folder of segments, a condition in SQL, two windows and the margins, in
nanoseconds since 1970. Prints CPU seconds and the number of spans of both windows. Importing the package does not
count.
"""

import resource
import sys

import duckdb

folder, condition = sys.argv[1:3]
numbers = [int(text) for text in sys.argv[3:]]
windows, (before_ns, after_ns) = [numbers[0:2], numbers[2:4]], numbers[4:6]

# The cheaper of DuckDB's two ways to get quantiles: a t-digest, not a sort.
QUERY = """
with spans as (select * from read_parquet('{folder}/*.parquet')),
touched as (
    select distinct trace_id from spans
    where ({condition}) and epoch_ns(start) >= {begin} and epoch_ns(start) < {end}
)
select operation, status, count(*), avg(duration), approx_quantile(duration, [0.5, 0.95, 0.99]),
       avg((status = 2)::int)
from spans
where trace_id in (select trace_id from touched)
  and epoch_ns(start) >= {begin} - {before_ns} and epoch_ns(start) < {end} + {after_ns}
group by operation, status
"""


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


began = cpu_seconds()
spans = 0
for begin, end in windows:
    rows = duckdb.sql(
        QUERY.format(
            folder=folder,
            condition=condition,
            begin=begin,
            end=end,
            before_ns=before_ns,
            after_ns=after_ns,
        )
    ).fetchall()
    spans += sum(row[2] for row in rows)
print(cpu_seconds() - began, spans)
