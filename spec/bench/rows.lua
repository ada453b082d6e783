-- What is compared with what, and the limits: one entry, one row of the report.
-- The series are those that the measuring programs print.

---@class BenchRow
---@field group string rows of a group stand together
---@field name string
---@field label string? of a row that the README and the chart show: says it without the group
---@field unit string
---@field ours string the series of job_tracker
---@field peer string? the series that it is compared with
---@field against string? the peer's name
---@field at_most number? limit of ours / peer; without a peer, of ours itself
---@field at_least number? limit of peer / ours: how many times faster we are
---@field times_faster boolean? the ratio is peer / ours, though there is no limit
---@field goal number? where the limit is to be one day

---@type BenchRow[]
local rows = {}

local function add(row) rows[#rows + 1] = row end

local function from_lua(lua)
  local function series(case, side) return ("lua/%s/%s/%s"):format(lua.abi, case, side) end
  local function floor(name, case, call)
    local limit = call and 2
    add {
      group = "From " .. lua.name .. ", a call, 1,000 jobs", name = name,
      label = call and call .. " from " .. lua.name,
      unit = "ns", against = "bare C function", at_most = limit, goal = limit and 1.5,
      ours = series(case, "ours"), peer = series(case, "floor"),
    }
  end
  local function other(call, against, case, side, at_least)
    add {
      group = call .. " from " .. lua.name .. ", 1,000 jobs", name = call,
      label = (at_least or call == "get_job") and call .. " from " .. lua.name,
      unit = "ns", against = against, at_least = at_least, times_faster = true,
      ours = series(case, "ours"), peer = series(case, side),
    }
  end
  floor("update_job(id, {progress=, current_step=})", "update_job", "update_job")
  floor("  and if C, too, reads the clock of the last tick", "update_job_by_tick")
  floor("get_job(id).progress", "get_job", "get_job")
  floor("  and if C's userdata is as large as a job's", "get_large_job")
  other("update_job", "a plain Lua table, ISO times", "update_table", "table", 3)
  other("update_job", "Redis, HGETALL and HSET", "update_redis", "redis", 100)
  other("update_job", "Redis, HSET unseen", "hset_redis", "redis")
  other("update_job", "a dataclass in a dict, Python", "update_dataclass", "dataclass", 5)
  other("get_job", "Redis, HGETALL", "get_redis", "redis")
end

local LUAS = { { abi = "5.4", name = "Lua 5.4" }, { abi = "luajit", name = "LuaJIT" } }

for _, lua in ipairs(LUAS) do from_lua(lua) end

for _, lua in ipairs(LUAS) do
  add {
    group = "No store: a function in Lua that checks update_job's table, a call, 1,000 jobs",
    name = "from " .. lua.name, unit = "ns", against = "a plain Lua table",
    times_faster = true,
    ours = ("lua/%s/update_table/check"):format(lua.abi),
    peer = ("lua/%s/update_table/table"):format(lua.abi),
  }
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
      label = (jobs == 10000 or jobs == 1000000)
        and ("%s from C, %s jobs"):format(call, with_commas(jobs)) or nil,
      against = "LMDB", at_least = 4,
      ours = ("store/%s/%d/ours"):format(call, jobs),
      peer = ("store/%s/%d/lmdb"):format(call, jobs),
    }
  end
end
for _, call in ipairs { "get", "replace" } do
  for _, size in ipairs { { 4096, "4 KiB" }, { 32768, "32 KiB" }, { 262144, "256 KiB" },
                          { 1048576, "1 MiB" } } do
    add {
      group = "Large results from C, a call, 1,000 jobs, files on tmpfs", unit = "us",
      name = ("%s, %s"):format(call, size[2]), against = "LMDB", at_least = 1,
      label = size[1] ~= 32768
        and ("%s of a result of %s from C"):format(call, size[2]) or nil,
      ours = ("blob/%s/%d/ours"):format(call, size[1]),
      peer = ("blob/%s/%d/lmdb"):format(call, size[1]),
    }
  end
end
add {
  group = "Drawing an id (in no create above)", unit = "ns",
  name = "a number: a third of a UUID", label = "drawing an id, in no create above",
  against = "a UUID, libuuid",
  ours = "draw/number/ours", peer = "draw/number/uuid",
}

local function answer(against, peer, limit, goal)
  add {
    group = "GET jobs/<id>, CPU time of the nginx worker for an answer", name = "GET jobs/<id>",
    label = (limit or peer == "dict") and "GET jobs/<id>, nginx",
    unit = "us", against = against, at_most = limit, goal = goal,
    ours = "http/cpu/job", peer = "http/cpu/" .. peer,
  }
end
answer('content_by_lua "hi"', "hi", 1.2, 1.15)
answer("the same headers, a constant", "headers")
answer("return 200", "static", nil, 1.3)
answer("shared dict and cjson", "dict", nil, 0.8)

add {
  group = "Inside an nginx worker, 1,000 jobs", name = "get_json(id)", unit = "ns",
  label = "get_json in nginx",
  against = "the shared dict's get", at_least = 1,
  ours = "http/calls/get_json/ours", peer = "http/calls/get_json/dict",
}
add {
  group = "Inside an nginx worker, 1,000 jobs", name = "update_job(id, {...})", unit = "ns",
  label = "update_job in nginx",
  against = "shared dict and cjson", at_least = 10,
  ours = "http/calls/update_job/ours", peer = "http/calls/update_job/dict",
}

local function beside(name, limit, worker, how, alone)
  add {
    group = "One process updates, another reads, 10,000 jobs, a call", unit = "ns",
    name = name, label = limit and name .. " while another process does the other",
    against = "alone", at_most = limit,
    ours = ("together/%s/%s"):format(worker, how),
    peer = ("together/%s/alone"):format(alone or worker),
  }
end
beside("get", 1.3, "reader", "both")
beside("  while the other updates another store", nil, "reader", "apart")
beside("update", 1.3, "writer", "both")
beside("  another store", nil, "stranger", "apart", "writer")
beside("  no store, its lines alone: read", nil, "bare_reader", "both")
beside("  no store, its lines alone: write", nil, "bare_writer", "both")
add {
  group = "A waiting process, from the update on", unit = "us",
  name = "to its copy of the job", label = "from an update to a waiting process's copy",
  against = "a bare futex wake", at_most = 1.5,
  ours = "wake/return/ours", peer = "wake/return/futex",
}
for _, call in ipairs { "get", "update" } do
  add {
    group = "From C, by how much a call is longer at 1,000,000 jobs than at 1,000",
    unit = "ns", name = call, against = "a bare random read", at_most = 2,
    label = call .. " from C, growth to 1,000,000 jobs",
    ours = "growth/" .. call, peer = "growth/read",
  }
end

local function alone(group, unit, limit, name, series, label, goal)
  add {
    group = group, unit = unit, name = name, ours = series, at_most = limit, label = label,
    goal = goal,
  }
end

local killed = "A writer killed in an update: the next one's first call, 1,000,000 jobs"
alone(killed, "ms", 50, "by a process that knows the store", "recovery/experienced/1000000/ours",
      "the first update after a killed writer, 1,000,000 jobs")
alone(killed, "ms", nil, "  of it, CPU time", "recovery/experienced/cpu/1000000/ours")
alone(killed, "ms", 50, "by a newly forked process", "recovery/newcomer/1000000/ours",
      "the same by a newly forked process")
alone(killed, "ms", nil, "  of it, CPU time", "recovery/newcomer/cpu/1000000/ours")

local look = "A look at every job, 1,000,000 jobs of one type, CPU time"
alone(look, "ms", nil, "summary: all, by type", "look/summary/1000000/ours")
alone(look, "ms", nil, "list: the newest 50", "look/list/1000000/ours")

local death = "An owner killed with kill -9: until its job is seen failed"
alone(death, "ms", 250, "by wait_job in another process", "death/wait_job/ours")
alone(death, "ms", 250, "by a stream of nginx, its store read-only", "death/stream/ours")

local memory = "Resident memory of a job with short texts, 1,000,000 jobs"
alone(memory, "bytes", 400, "created", "memory/created/1000000/ours", nil, 320)
alone(memory, "bytes", 400, "after ten updates of each, in no order",
      "memory/updated/1000000/ours", "resident memory of a job with short texts", 320)

return rows
