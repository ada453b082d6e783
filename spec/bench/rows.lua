-- What is compared with what, and the limits: one entry, one row of the report.
-- The series are those that the measuring programs print.

---@class BenchRow
---@field group string rows of a group stand together
---@field name string
---@field unit string
---@field ours string the series of job_tracker
---@field peer string? the series that it is compared with
---@field against string? the peer's name
---@field at_most number? limit of ours / peer; without a peer, of ours itself
---@field at_least number? limit of peer / ours: how many times faster we are
---@field goal number? where the limit is to be one day

---@type BenchRow[]
local rows = {}

local function add(row) rows[#rows + 1] = row end

for _, lua in ipairs { { abi = "5.4", name = "Lua 5.4" }, { abi = "luajit", name = "LuaJIT" } } do
  local function from_lua(name, case, limit)
    add {
      group = "From " .. lua.name .. ", a call, 1,000 jobs", name = name,
      unit = "ns", against = "bare C function",
      at_most = limit, goal = limit and 1.5,
      ours = ("lua/%s/%s/ours"):format(lua.abi, case),
      peer = ("lua/%s/%s/floor"):format(lua.abi, case),
    }
  end
  from_lua("update_job(id, {progress=, current_step=})", "update_job", 2)
  from_lua("get_job(id).progress", "get_job", 2)
  from_lua("  and if C's userdata has room for a job", "get_large_job")
end

local function with_commas(number)
  local text, more = ("%d"):format(number), 1
  while more > 0 do text, more = text:gsub("^(%d+)(%d%d%d)", "%1,%2") end
  return text
end

for _, call in ipairs { "get", "update", "create" } do
  for _, jobs in ipairs { 1000, 10000, 100000, 1000000 } do
    add {
      group = "From C, a call, files on tmpfs", unit = "ns",
      name = ("%s, %s jobs"):format(call, with_commas(jobs)),
      against = "LMDB", at_least = 3, goal = 4,
      ours = ("store/%s/%d/ours"):format(call, jobs),
      peer = ("store/%s/%d/lmdb"):format(call, jobs),
    }
  end
end
add {
  group = "Drawing an id (in no create above)", unit = "ns",
  name = "a number: a third of a UUID", against = "a UUID, libuuid",
  ours = "draw/number/ours", peer = "draw/number/uuid",
}

local function answer(name, against, peer, limit, goal)
  add {
    group = "An answer of nginx, CPU time of the worker", name = name, unit = "us",
    against = against, at_most = limit, goal = goal,
    ours = "http/cpu/job", peer = "http/cpu/" .. peer,
  }
end
answer("GET jobs/<id>", 'content_by_lua "hi"', "hi", 1.2, 1.15)
answer("  the same", "the same headers, a constant", "headers")
answer("  the same", "return 200", "static", nil, 1.3)
answer("  the same", "shared dict and cjson", "dict", nil, 0.8)

local function alone(group, unit, limit, name, series)
  add { group = group, unit = unit, name = name, ours = series, at_most = limit }
end

local killed = "A writer killed in an update: the next one's first call, 1,000,000 jobs"
alone(killed, "ms", 50, "by a process that knows the store", "recovery/experienced/1000000/ours")
alone(killed, "ms", nil, "  of it, CPU time", "recovery/experienced/cpu/1000000/ours")
alone(killed, "ms", 50, "by a newly forked process", "recovery/newcomer/1000000/ours")
alone(killed, "ms", nil, "  of it, CPU time", "recovery/newcomer/cpu/1000000/ours")

local look = "A look at every job, 1,000,000 jobs of one type, CPU time"
alone(look, "ms", nil, "summary: all, by type", "look/summary/1000000/ours")
alone(look, "ms", nil, "list: the newest 50", "look/list/1000000/ours")

local death = "An owner killed with kill -9: until its job is seen failed"
alone(death, "ms", 250, "by wait_job in another process", "death/wait_job/ours")
alone(death, "ms", 250, "by a stream of nginx, its store read-only", "death/stream/ours")

local memory = "Resident memory of a job with short texts, 1,000,000 jobs"
alone(memory, "bytes", 400, "created", "memory/created/1000000/ours")
alone(memory, "bytes", 400, "after ten updates of each, in no order",
      "memory/updated/1000000/ours")

return rows
