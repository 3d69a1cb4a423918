export const GUARANTEES = ['certified', 'provisional'] as const

/**
 * How much an exclusive right is worth. `certified`: a quorum of voters granted it to nobody else. `provisional`: no
 * quorum answered, so somebody on the other side of a cut may hold it too; that is settled when the cut heals.
 */
export type Guarantee = (typeof GUARANTEES)[number]
