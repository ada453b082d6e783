-- luacheck: std +ngx_lua
-- Measures calls inside an nginx worker, ours and the shared dict's by turns, and
-- answers with samples for report.lua: nanoseconds a call. A request of http_bench's
-- runs it, with the folder of this file and the number of rounds.

local floor = require "floor"
local JobTracker = require("job_tracker").JobTracker

local folder, rounds = ngx.var.arg_folder, tonumber(ngx.var.arg_rounds)

package.path = folder .. "/?.lua;" .. package.path
local calls = require "calls"
local peer_dict = require "peer_dict"

local function print_sample(series, value)
  ngx.print(("sample\t%s\t%.2f\n"):format(series, value))
end

---@return BenchSide
local function side(name, code, call, expected)
  return {
    name = name, compiled = calls.compile(folder, code, call), expected = expected,
    clock = floor.cpu_time,
  }
end

---Jobs as they are while a pipeline works, the same texts on either side.
local function new_load()
  local load = calls.new_load(JobTracker.create_job)
  for i, id in ipairs(load.ids) do
    assert(JobTracker.update_job(id, {
      status = "running", progress = load.progress[i], current_step = load.steps[i],
    }))
    peer_dict.set_json(id, (JobTracker.get_json(id)))
  end
  return load
end

local function verify_updates(get_job, load)
  for i, id in ipairs(load.ids) do
    assert(get_job(id).progress == load.progress[i], "an update did not happen")
  end
end

---So that an update is seen to have happened.
local function reverse(array)
  for i = 1, #array / 2 do
    local j = #array + 1 - i
    array[i], array[j] = array[j], array[i]
  end
end

local function measure_get_json()
  local load, length = new_load(), 0
  for _, id in ipairs(load.ids) do length = length + #JobTracker.get_json(id) end
  calls.compare({ series = "http/calls/get_json", sides = {
    side("ours", "get_json", JobTracker.get_json, length),
    side("dict", "get_json", peer_dict.get_json, length),
  } }, load, rounds, print_sample)
end

local function measure_update_job()
  local load = new_load()
  local count = #load.ids
  reverse(load.progress)
  calls.compare({ series = "http/calls/update_job", sides = {
    side("ours", "update_job", JobTracker.update_job, count),
    side("dict", "update_job", peer_dict.update_job, count),
  } }, load, rounds, print_sample)
  verify_updates(JobTracker.get_job, load)
  verify_updates(peer_dict.get_job, load)
end

measure_get_json()
measure_update_job()
