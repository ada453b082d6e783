-- Calls from Lua, those of several sides by turns, on the same jobs: what a case is,
-- and how it is measured. Runs on Lua 5.4, on LuaJIT and inside nginx; knows no store.

local calls = {}

local JOBS = 1000         -- in the store
local REPEATS = 10        -- each job is called for so many times in a sample
local WARM_UP = 3         -- and so many times before, unmeasured

---What a case goes over: call number i is about ids[i].
---@class BenchLoad
---@field ids string[]
---@field progress number[]
---@field steps string[]

---One of those that are compared.
---@class BenchSide
---@field name string in the series
---@field compiled function makes all calls of a load, from a file below lua/
---@field expected number what 'compiled' returns if all went well
---@field clock fun(): number nanoseconds
---@field repeats integer? instead of REPEATS, for slow ones
---@field measure nil|fun(load: BenchLoad): number instead of all these: nanoseconds a call

---@class BenchCase
---@field series string what the names of its series begin with
---@field sides BenchSide[]
---@field verify nil|fun(load: BenchLoad) that what was to happen has happened

local STEPS = {
  "Section 1 of 6: Threads", "Section 2 of 6: Memory order", "Section 3 of 6: Locks",
  "Section 4 of 6: Futexes", "Section 5 of 6: Recovery", "Section 6 of 6: Proofs",
}

local function shuffle(array)
  for i = #array, 2, -1 do
    local j = math.random(i)
    array[i], array[j] = array[j], array[i]
  end
end

---@param create_job fun(task_type: string): string
---@return BenchLoad
function calls.new_load(create_job)
  local load = { ids = {}, progress = {}, steps = {} }
  for i = 1, JOBS do
    load.ids[i] = assert(create_job("chapter"))
    load.progress[i] = i / 1024
    load.steps[i] = STEPS[i % #STEPS + 1]
  end
  shuffle(load.ids)
  return load
end

---The file is compiled for each side anew: LuaJIT then compiles it for that side's call.
---@return function
function calls.compile(folder, code, call)
  return assert(loadfile(folder .. "/lua/" .. code .. ".lua"))(call)
end

local function run(side, load, times)
  local right = 0
  for _ = 1, times do
    if side.compiled(load) == side.expected then right = right + 1 end
  end
  assert(right == times, side.name .. ": a call returned something else")
end

local function measure(side, load)
  if side.measure then return side.measure(load) end
  local repeats = side.repeats or REPEATS
  collectgarbage()
  run(side, load, math.min(WARM_UP, repeats))
  local start = side.clock()
  run(side, load, repeats)
  return (side.clock() - start) / (repeats * #load.ids)
end

---@param case BenchCase
---@param emit fun(series: string, value: number)
function calls.compare(case, load, rounds, emit)
  local sides = case.sides
  for round = 1, rounds do
    for i = 1, #sides do
      local side = sides[(round + i) % #sides + 1]
      emit(case.series .. "/" .. side.name, measure(side, load))
    end
  end
  if case.verify then case.verify(load) end
end

return calls
