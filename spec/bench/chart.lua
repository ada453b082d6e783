-- Draws the ratios of a run as an SVG: one bar a row, from 1 on, to the right as often
-- as job_tracker is faster than the other, to the left as often as it is slower, on a
-- logarithmic axis. A thin line is where the limit is. Knows the fields of results.json.

local chart = {}

local LABELS, WIDTH, BAR, STEP, TOP = 440, 900, 12, 20, 56    -- pixels
local RIGHT = 60                                              -- room for a bar's number

local COLOURS = { faster = "#2a7f62", slower = "#c4622d", floor = "#8a94a6" }

local function escape(text)
  return (text:gsub("[&<>\"]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;",
                                 ['"'] = "&quot;" }))
end

---How many times faster we are: of a row whose ratio says it the other way round, too.
local function speed(result, ratio) return result.times_faster and ratio or 1 / ratio end

---@class ChartBar
---@field text string
---@field value number
---@field limit number?
---@field kind string of COLOURS

---@return ChartBar
local function new_bar(result)
  local value = speed(result, result.ratio.median)
  local limit = result.at_least or result.at_most
  local slower = result.times_faster and "slower" or "floor"
  return {
    text = result.label .. " / " .. result.against, value = value,
    limit = limit and speed(result, limit),
    kind = value >= 1 and "faster" or slower,
  }
end

local function bars_of(results)
  local bars = {}
  for _, result in ipairs(results) do
    if result.label and result.ratio then bars[#bars + 1] = new_bar(result) end
  end
  return bars
end

---Whole powers of ten around all values, as exponents.
local function range(bars)
  local low, high = 0, 0
  for _, bar in ipairs(bars) do
    local exponent = math.log(bar.value) / math.log(10)
    low, high = math.min(low, math.floor(exponent)), math.max(high, math.ceil(exponent))
  end
  return low, math.max(high, low + 1)
end

---@return fun(value: number): number where on the axis
local function new_scale(low, high)
  local decade = (WIDTH - LABELS - RIGHT) / (high - low)
  return function(value) return LABELS + (math.log(value) / math.log(10) - low) * decade end
end

local function draw_axis(add, scale, low, high, bottom)
  for exponent = low, high do
    local at, name = scale(10 ^ exponent), ("%.14g"):format(10 ^ exponent)
    add('<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s"/>', at, TOP - 8, at, bottom,
        exponent == 0 and "#333" or "#ddd")
    add('<text x="%.1f" y="%d" text-anchor="middle" fill="#555">%s</text>', at, TOP - 14, name)
  end
end

local function number(value)
  return (value >= 10 and "%.0f" or value >= 1 and "%.1f" or "%.2f"):format(value)
end

local function draw_bar(add, scale, bar, y)
  local one, at = scale(1), scale(bar.value)
  local middle = y + BAR - 2
  add('<text x="%d" y="%d" text-anchor="end" fill="#222">%s</text>', LABELS - 10, middle,
      escape(bar.text))
  add('<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>', math.min(one, at), y,
      math.abs(at - one), BAR, COLOURS[bar.kind])
  if bar.limit then
    local x = scale(bar.limit)
    at = math.max(at, x)
    add('<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#000" stroke-width="1.5"/>',
        x, y - 2, x, y + BAR + 2)
  end
  add('<text x="%.1f" y="%d" fill="#222">%s</text>', math.max(one, at) + 5, middle,
      number(bar.value))
end

---@param run table what is in results.json
---@return string
function chart.render(run)
  local bars, lines = bars_of(run.rows), {}
  local low, high = range(bars)
  local scale, bottom = new_scale(low, high), TOP + #bars * STEP
  local function add(...) lines[#lines + 1] = string.format(...) end
  add('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif"'
      .. ' font-size="12">', WIDTH, bottom + 12)
  add('<rect width="100%%" height="100%%" fill="#fff"/>')
  add('<text x="10" y="20" font-size="14" fill="#222">How many times faster job_tracker is'
      .. ' than what it is compared with (grey: the least there could be; lines: limits)</text>')
  draw_axis(add, scale, low, high, bottom)
  for i, bar in ipairs(bars) do draw_bar(add, scale, bar, TOP + (i - 1) * STEP) end
  add("</svg>\n")
  return table.concat(lines, "\n")
end

return chart
