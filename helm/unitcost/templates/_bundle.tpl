{{/*
The rules and pages have marks where the configuration decides a text (files/marks.yaml, made by python -m helm).
*/}}

{{/* What the configuration says at a path, or the default, as {"value": …}: (dict "root" $ "path" (list …) "default" …) */}}
{{- define "unitcost.setting" -}}
{{- $value := .root.Values.config -}}
{{- range .path -}}
{{- if and (kindIs "map" $value) (hasKey $value .) -}}
{{- $value = get $value . -}}
{{- else -}}
{{- $value = dict -}}
{{- end -}}
{{- end -}}
{{- if or (kindIs "invalid" $value) (and (kindIs "map" $value) (empty $value)) -}}
{{- $value = .default -}}
{{- end -}}
{{- if contains "${" (toJson $value) -}}
{{- fail (printf "config.%s: the rules and pages are made when the chart is rendered, where the pod's environment is not known; write the value itself" (join "." .path)) -}}
{{- end -}}
{{- dict "value" $value | toJson -}}
{{- end -}}

{{/* Refuse what the rules and pages of the chart are not made for. */}}
{{- define "unitcost.madeFor" -}}
{{- $made := .Files.Get "files/marks.yaml" | fromYaml -}}
{{- $how := "the rules and pages in this chart are made for %s; for others, switch prometheusRule and dashboards off and write your own with python -m rules and python -m dashboards" -}}
{{- range $made.fixed -}}
{{- $value := (include "unitcost.setting" (dict "root" $ "path" .path "default" .value) | fromJson).value -}}
{{- if ne (toJson $value) (toJson .value) -}}
{{- fail (printf "config.%s: %s" (join "." .path) (printf $how (toJson .value))) -}}
{{- end -}}
{{- end -}}
{{- $windows := (include "unitcost.setting" (dict "root" $ "path" (list "windows") "default" $made.windows) | fromJson).value -}}
{{- range $made.windows -}}
{{- if not (has . $windows) -}}
{{- fail (printf "config.windows: %s is missing; %s" . (printf $how (join ", " $made.windows))) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Where the runbooks are, as {"before": …, "after": …}: alerts.runbooks, else the exporter's own server. */}}
{{- define "unitcost.runbooks" -}}
{{- $folder := (include "unitcost.setting" (dict "root" . "path" (list "alerts" "runbooks") "default" "") | fromJson).value -}}
{{- $own := printf "%s://%s.%s.svc:%v" (ternary "https" "http" .Values.tls) (include "unitcost.fullname" .) .Release.Namespace .Values.service.port -}}
{{- $server := (include "unitcost.setting" (dict "root" . "path" (list "web" "external_url") "default" $own) | fromJson).value -}}
{{- if $folder -}}
{{- dict "before" (printf "%s/" (trimSuffix "/" $folder)) "after" ".md" | toJson -}}
{{- else -}}
{{- dict "before" (printf "%s/runbooks/" (trimSuffix "/" $server)) "after" "" | toJson -}}
{{- end -}}
{{- end -}}

{{/* A setting as it is written in a rule or page: (dict "root" $ "mark" (an entry of files/marks.yaml)) */}}
{{- define "unitcost.written" -}}
{{- $value := (include "unitcost.setting" (dict "root" .root "path" .mark.path "default" .mark.default) | fromJson).value -}}
{{- $where := printf "config.%s" (join "." .mark.path) -}}
{{- $form := .mark.form -}}
{{- if has $form (list "number" "percent" "thousands" "days") -}}
{{- if kindIs "string" $value -}}
{{- fail (printf "%s: must be a number without quotes" $where) -}}
{{- end -}}
{{- if eq $form "percent" -}}
{{- printf "%.0f%%" (mulf $value 100.0) -}}
{{- else if eq $form "days" -}}
{{- mulf $value 86400.0 -}}
{{- else if eq $form "thousands" -}}
{{- $text := regexReplaceAll "([0-9])([0-9]{3})$" (printf "%.0f" (float64 $value)) "${1},${2}" -}}
{{- regexReplaceAll "([0-9])([0-9]{3})," $text "${1},${2}," -}}
{{- else -}}
{{- $value -}}
{{- end -}}
{{- else if eq $form "seconds" -}}
{{- $unit := get (dict "s" 1 "m" 60 "h" 3600 "d" 86400) (regexFind "[smhd]$" $value) -}}
{{- mul (regexFind "^[0-9]+" $value) (required (printf "%s: must be a time such as 6h" $where) $unit) -}}
{{- else if eq $form "url" -}}
{{- trimSuffix "/" $value -}}
{{- else if eq $form "label" -}}
{{- $key := $value -}}
{{- if kindIs "slice" $value -}}
{{- $key = first $value -}}
{{- end -}}
{{- if regexMatch "[A-Z]" $key -}}
{{- fail (printf "%s: kube-state-metrics and OpenCost spell %s differently, which the live rules in this chart cannot tell; set prometheusRule.live to false and apply those of python -m rules" $where $key) -}}
{{- end -}}
{{- printf "label_%s" (regexReplaceAll "[^a-zA-Z0-9_]" $key "_") -}}
{{- else if has $form (list "exact" "money" "gap" "sign") -}}
{{- $currencies := .root.Files.Get "files/currencies.yaml" | fromYaml -}}
{{- if hasKey $currencies.known $value -}}
{{- get (get $currencies.known $value) $form -}}
{{- else -}}
{{- get $currencies.other $form | replace "CODE" $value -}}
{{- end -}}
{{- else -}}
{{- $value -}}
{{- end -}}
{{- end -}}

{{/* A file of rules or a page with its marks filled, as JSON: (dict "root" $ "path" "files/…") */}}
{{- define "unitcost.filled" -}}
{{- $root := .root -}}
{{- $text := $root.Files.Get .path -}}
{{- $made := $root.Files.Get "files/marks.yaml" | fromYaml -}}
{{- range $made.marks -}}
{{- if contains .mark $text -}}
{{- $written := include "unitcost.written" (dict "root" $root "mark" .) -}}
{{- $text = $text | replace .mark ($written | toJson | trimPrefix "\"" | trimSuffix "\"") -}}
{{- end -}}
{{- end -}}
{{- $runbooks := include "unitcost.runbooks" $root | fromJson -}}
{{- $text | replace "@@runbooks|before@@" $runbooks.before | replace "@@runbooks|after@@" $runbooks.after | trim -}}
{{- end -}}

{{/* The groups of a file of rules without the disabled alerts, as {"groups": …}: (dict "root" $ "path" "files/…") */}}
{{- define "unitcost.groups" -}}
{{- $disabled := (include "unitcost.setting" (dict "root" .root "path" (list "alerts" "disabled") "default" list) | fromJson).value -}}
{{- $made := .root.Files.Get "files/marks.yaml" | fromYaml -}}
{{- $spec := include "unitcost.filled" . | fromJson -}}
{{- $known := list -}}
{{- $kept := 0 -}}
{{- $groups := list -}}
{{- range $group := $spec.groups -}}
{{- $rules := list -}}
{{- range $group.rules -}}
{{- if .alert -}}
{{- $known = append $known .alert -}}
{{- end -}}
{{- if not (and .alert (has .alert $disabled)) -}}
{{- $rules = append $rules . -}}
{{- if .alert -}}
{{- $kept = add1 $kept -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $rules -}}
{{- $groups = append $groups (dict "name" $group.name "rules" $rules) -}}
{{- end -}}
{{- end -}}
{{- if $known -}}
{{- range $disabled -}}
{{- if not (has . $known) -}}
{{- fail (printf "config.alerts.disabled: %s is no alert; the alerts are %s" . (join ", " (sortAlpha $known))) -}}
{{- end -}}
{{- end -}}
{{- range $groups -}}
{{- range .rules -}}
{{- if eq (toString .record) $made.count -}}
{{- $_ := set . "expr" (printf "vector(%d)" $kept) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- dict "groups" $groups | toJson -}}
{{- end -}}
