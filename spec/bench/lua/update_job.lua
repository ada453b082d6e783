-- A progress update, as a pipeline writes it. The function to call comes from
-- outside, so that each peer gets code of its own for LuaJIT to compile.

local update_job = ...

---@param load BenchLoad
return function(load)
  local ids, progress, steps = load.ids, load.progress, load.steps
  local done = 0
  for i = 1, #ids do
    if update_job(ids[i], { progress = progress[i], current_step = steps[i] }) then
      done = done + 1
    end
  end
  return done
end
