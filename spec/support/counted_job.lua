-- Jobs whose fields all follow from one number, so that a torn one shows. Knows the fields
-- of a job, and not where it was read.

local counted_job = {}

---Fields for update_job.
---@param count integer from 1
---@return table
function counted_job.fields_of(count)
  return {
    progress = count % 1000 / 1000,
    current_step = "step " .. count .. ("."):rep(count % 4000),
    result = { count, ("r"):rep(count * 7 % 5000) },
    error = "error " .. count,
    meta = { count = count, text = ("m"):rep(count % 700) },
  }
end

---The number that the job's fields agree on, 0 of one just created; raises where they do
---not agree.
---@param job table absent fields nil
---@return integer
function counted_job.count_of(job)
  local meta, result = job.meta, job.result
  if not meta then
    assert(not result and not job.error, "half of the first update")
    assert(job.current_step == "Initializing" and job.progress == 0)
    return 0
  end
  local count = math.floor(meta.count) -- JSON may have made it 1.0
  local expected = counted_job.fields_of(count)
  assert(job.progress == expected.progress, "torn: progress")
  assert(job.current_step == expected.current_step, "torn: current_step")
  assert(job.error == expected.error, "torn: error")
  assert(meta.text == expected.meta.text, "torn: meta")
  assert(result[1] == count and result[2] == expected.result[2], "torn: result")
  return count
end

return counted_job
