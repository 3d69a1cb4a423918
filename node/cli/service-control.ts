import { access, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { CommandFailure, EXIT } from './exit.ts'
import { WRITTEN_BY } from './service-mark.ts'
import type { Invocation, ServicePlan } from './service-plan.ts'

export type Ran = { readonly code: number; readonly stdout: string; readonly stderr: string }

/** Runs a program to its end. A program that is not there ends with 127. */
export type Run = (invocation: Invocation) => Promise<Ran>

export type ServiceState = {
  readonly installed: boolean
  readonly file: string
  readonly enabled: boolean
  readonly running: boolean
}

/**
 * Writes the unit and starts the service; an earlier one is replaced.
 * @throws CommandFailure when that does not work; then nothing is left of it
 */
export async function installService(plan: ServicePlan, run: Run): Promise<void> {
  const before = await readUnit(plan)
  if (before !== undefined && !before.includes(WRITTEN_BY)) throw foreign(plan)
  await writeUnit(plan.file, plan.text)
  try {
    // Of launchd only: it does not take a label twice.
    if (before !== undefined && plan.manager === 'launchd') for (const step of plan.stop) await run(step)
    for (const step of plan.start) await must(run, step, 'Nothing was installed.')
  } catch (error) {
    if (before === undefined) {
      for (const step of plan.stop) await run(step)
      await removeUnit(plan, run)
    } else await writeUnit(plan.file, before)
    throw error
  }
}

/**
 * Stops the service and leaves nothing of it behind. Returns false when there was none. Sessions go on.
 * @throws CommandFailure when its manager does not stop it; then it is as it was
 */
export async function uninstallService(plan: ServicePlan, run: Run): Promise<boolean> {
  const unit = await readUnit(plan)
  if (unit === undefined) return false
  if (!unit.includes(WRITTEN_BY)) throw foreign(plan)
  for (const step of plan.stop) {
    // launchd fails for what it does not run; systemd only when it cannot be reached, as outside of a user's session.
    if (plan.manager === 'systemd') await must(run, step, `The service is as it was (${plan.file}).`)
    else await run(step)
  }
  await removeUnit(plan, run)
  return true
}

async function removeUnit(plan: ServicePlan, run: Run): Promise<void> {
  await rm(plan.file, { force: true })
  for (const step of plan.forget) await run(step)
}

/** @throws CommandFailure when the manager of the service cannot be asked */
export async function serviceState(plan: ServicePlan, run: Run): Promise<ServiceState> {
  const installed = (await readUnit(plan)) !== undefined
  const enabled = installed && (await isSo(plan, run, plan.ask.enabled))
  const running = installed && (await isSo(plan, run, plan.ask.active))
  return { installed, file: plan.file, enabled, running }
}

async function isSo({ manager }: ServicePlan, run: Run, question: Invocation): Promise<boolean> {
  const { code, stdout } = await run(question)
  // `disabled`, `inactive`, …: systemd answers no in words.
  if (manager === 'systemd' && code !== 0 && stdout.trim() === '') await must(run, question, '')
  return code === 0
}

/** Whether the manager of services runs here at all: containers and other init systems have none. */
export async function isManagerThere({ manager }: Pick<ServicePlan, 'manager'>): Promise<boolean> {
  if (manager === 'launchd') return true
  return await access('/run/systemd/system').then(
    () => true,
    () => false,
  )
}

async function readUnit({ file }: ServicePlan): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

async function writeUnit(file: string, text: string): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true })
    await writeFile(`${file}.new`, text, { mode: 0o644 })
    await rename(`${file}.new`, file)
  } catch (cause) {
    throw new CommandFailure(
      `${file} cannot be written: ${cause instanceof Error ? cause.message : String(cause)}. With --system this takes root (sudo).`,
      EXIT.refused,
    )
  }
}

async function must(run: Run, step: Invocation, consequence: string): Promise<void> {
  const { code, stderr, stdout } = await run(step)
  if (code === 0) return
  const said = (stderr.trim() || stdout.trim()).split('\n').at(-1) ?? ''
  throw new CommandFailure(`\`${step.join(' ')}\` failed with ${code}: ${said}. ${consequence}`.trimEnd(), EXIT.refused)
}

const foreign = ({ file }: ServicePlan): CommandFailure =>
  new CommandFailure(`${file} was not written by this command: it is left alone. Choose another --name.`, EXIT.refused)
