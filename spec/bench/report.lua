-- Reads the samples of a run, prints the table, writes the figures as JSON and draws them.
--
--   lua5.4 report.lua SAMPLES RESULTS.json CHART.svg CHECK PART...
--
-- Shows the rows of the parts that ran: those whose series begin with the part's name.
-- Exits with 1 if CHECK is "yes" and a limit of theirs is not met, or was not measured.
-- The files' lines: "sample", series, number; "fact", name, text; "missing", what
-- could not be measured, why. Tabs in between. Further facts come from 'run'.

local chart = require "chart"
local json = require "json"
local rows = require "rows"

---------------------------------------------------------------------- samples

---@class BenchRun
---@field series table<string, number[]>
---@field facts table<string, string>
---@field missing string[]

---@param path string
---@return BenchRun
local function read_run(path)
  local result = { series = {}, facts = {}, missing = {} }
  for line in io.lines(path) do
    local kind, name, value = line:match("^(%l+)\t([^\t]*)\t(.*)$")
    if kind == "sample" then
      local series = result.series[name] or {}
      result.series[name] = series
      series[#series + 1] = assert(tonumber(value), line)
    elseif kind == "fact" then
      result.facts[name] = value
    elseif kind == "missing" then
      table.insert(result.missing, name .. ": " .. value)
    else
      error("not a line of samples: " .. line)
    end
  end
  return result
end

---The value below which that share of the sorted numbers lies.
local function quantile(sorted, share)
  local at = 1 + (#sorted - 1) * share
  local low = math.floor(at)
  local high = math.min(low + 1, #sorted)
  return sorted[low] + (sorted[high] - sorted[low]) * (at - low)
end

local function spread(numbers)
  local sorted = table.move(numbers, 1, #numbers, 1, {})
  table.sort(sorted)
  return {
    median = quantile(sorted, 0.5), min = sorted[1], max = sorted[#sorted],
    lower_quartile = quantile(sorted, 0.25), upper_quartile = quantile(sorted, 0.75),
    samples = #sorted,
  }
end

---Of samples that were taken side by side: whatever disturbed the one is likely to
---have disturbed the other too.
local function ratios(dividends, divisors)
  assert(#dividends == #divisors, "series of different lengths")
  local result = {}
  for i = 1, #dividends do result[i] = dividends[i] / divisors[i] end
  return spread(result)
end

---------------------------------------------------------------------- results

local function is_met(row, value)
  if row.at_most then return value <= row.at_most end
  if row.at_least then return value >= row.at_least end
  return nil
end

---Whether a row's ratio says how many times faster we are; else it is how many times
---longer we take.
local function is_speed(row) return (row.at_least or row.times_faster) ~= nil end

---What became of a row: the row's own fields and what was measured.
local function evaluate(row, series)
  local ours, peer = series[row.ours], row.peer and series[row.peer]
  local result = {
    group = row.group, name = row.name, label = row.label, unit = row.unit, against = row.against,
    at_most = row.at_most, at_least = row.at_least, goal = row.goal,
    times_faster = is_speed(row) or nil,
    ours = ours and spread(ours), peer = peer and spread(peer),
  }
  if ours and peer then
    result.ratio = is_speed(row) and ratios(peer, ours) or ratios(ours, peer)
  end
  local decisive = row.peer and result.ratio or not row.peer and result.ours
  if decisive then result.met = is_met(row, decisive.median) end
  return result
end

local function has_limit(result) return (result.at_most or result.at_least) ~= nil end

------------------------------------------------------------------------ table

local function number(value)
  return (value >= 100 and "%.0f" or "%.1f"):format(value)
end

local function with_spread(figures)
  if not figures then return "" end
  local median = number(figures.median)
  if figures.samples == 1 then return median end
  return ("%s (%s..%s)"):format(median, number(figures.lower_quartile),
                                number(figures.upper_quartile))
end

local function limit_of(result)
  if not has_limit(result) then return result.goal and "goal " .. result.goal or "" end
  local text = (result.at_most and "<= " or ">= ") .. (result.at_most or result.at_least)
  if result.goal then text = text .. ", goal " .. result.goal end
  return text .. (result.against and "" or " " .. result.unit)
end

local function verdict(result)
  if not has_limit(result) then return "" end
  if result.met == nil then return "not measured" end
  return result.met and "yes" or "NO"
end

local function ratio_of(result)
  if not result.ratio then return "" end
  return ("%.2f (%.2f..%.2f)"):format(result.ratio.median, result.ratio.lower_quartile,
                                      result.ratio.upper_quartile)
end

local FORMAT = "  %-43s %-22s %-22s %-19s %-15s %s\n"

---A line without blanks at its end.
local function print_line(...)
  io.write((FORMAT:format(...):gsub("%s+$", "\n")))
end

---What a group is compared with, if that is one thing; else each row names its own.
local function common_peer(results, group)
  local peer
  for _, result in ipairs(results) do
    if result.group == group then
      local against = result.against or ""
      if peer and against ~= peer then return nil end
      peer = against
    end
  end
  return peer
end

local function print_heading(result, peer)
  local ratio = result.times_faster and "times faster" or result.against and "ratio" or ""
  io.write("\n", result.group, "\n")
  print_line("", "job_tracker, " .. result.unit, peer or "the other", ratio, "limit", "met")
end

local function print_table(results)
  local group, peer
  for _, result in ipairs(results) do
    if result.group ~= group then
      group, peer = result.group, common_peer(results, result.group)
      print_heading(result, peer)
    end
    print_line(peer and result.name or "against " .. result.against,
               with_spread(result.ours), with_spread(result.peer),
               ratio_of(result), limit_of(result), verdict(result))
  end
end

local function print_facts(facts)
  local names = {}
  for name in pairs(facts) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do io.write(("%s: %s\n"):format(name, facts[name])) end
end

------------------------------------------------------------------------- main

local function write(path, ...)
  local file = assert(io.open(path, "w"))
  assert(file:write(...))
  assert(file:close())
end

---@param parts string[]
local function rows_of(parts)
  local chosen, result = {}, {}
  for _, part in ipairs(parts) do chosen[part] = true end
  for _, row in ipairs(rows) do
    if chosen[row.ours:match("^[^/]+")] then result[#result + 1] = row end
  end
  return result
end

local function main(samples, results_path, chart_path, check, ...)
  local run, results, unmet = read_run(samples), {}, 0
  for i, row in ipairs(rows_of { ... }) do
    results[i] = evaluate(row, run.series)
    if has_limit(results[i]) and not results[i].met then unmet = unmet + 1 end
  end
  print_facts(run.facts)
  print_table(results)
  for _, text in ipairs(run.missing) do io.write("\nNot measured: ", text, "\n") end
  io.write("\nMedians, with the quartiles; ratios are of samples taken side by side.\n")
  local whole = { facts = run.facts, missing = run.missing[1] and run.missing, rows = results }
  write(results_path, json.encode(whole), "\n")
  write(chart_path, chart.render(whole))
  io.write(unmet == 0 and "All limits are met.\n"
           or ("%d limits are not met or were not measured.\n"):format(unmet))
  return (unmet == 0 or check ~= "yes") and 0 or 1
end

os.exit(main(table.unpack(arg)))
