-- Every answer must be the right page: `words` stand on no other.
local threads = {}
wrong = 0
function setup(thread) table.insert(threads, thread) end
function init(args) words = args[1] end
function response(status, _, body)
  if status ~= 200 or not body:find(words, 1, true) then wrong = wrong + 1 end
end
function done(summary)
  for _, thread in ipairs(threads) do wrong = wrong + thread:get("wrong") end
  print(summary.requests, wrong + summary.errors.read + summary.errors.timeout, summary.duration / 1e6)
end
